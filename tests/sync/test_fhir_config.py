# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A configuration that is wrong is one line with the file, the key and the remedy and an exit
code of its own; TLS and every way of authentication; no secret and no patient in a log."""

import socket

import fhir_rig
from fake import Penteld
from fhir_rig import CONFIG, FOREIGN, OK, WAITING, Failure, Gateway, check

SECRETS = {"fhir-token": "tok-3nS3cret", "fhir-client-secret": "cl1ent:s+cret/=&"}


def refused(gateway, code, key, *words):
    """One line on standard error: the file, the key, the words."""
    gateway.forget()
    lines = [line for line in gateway.once(expect=code).splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    wanted = (f"pentel-sync: {gateway.config}: [fhir] {key}: ", *words)
    if len(lines) != 1 or not all(word in line for word in wanted):
        raise Failure(f"not one line with {wanted}: {lines}")
    leaks = [secret for secret in SECRETS.values() if secret in gateway.said]
    if leaks:
        raise Failure(f"a secret is in the log: {gateway.said}")


def quiet(gateway):
    gateway.env.pop("G_MESSAGES_DEBUG", None)


def test_keys(gateway):
    """What is wrong without asking anybody."""
    for key, value, *words in (
            ("url", "ftp://x/y", "not a URL"),
            ("url", "http://fhir.example.org/r4", "in the clear", "use https"),
            ("url", "https://user:pw@localhost/r4", "auth="),
            ("url", None, "missing"),
            ("patient", "4711", "identifier SYSTEM"),
            ("patient", "identifier nosystem", "identifier SYSTEM"),
            ("patient", None, "missing"),
            ("ca", "/nowhere/ca.pem", "/nowhere/ca.pem", "absolute path"),
            ("ca", str(gateway.config), "no certificate"),
            ("auth", "password", "private-key-jwt"),
            ("timeout_s", "0", "from 1 to 600"),
            ("max_entries", "two", "from 3 to 500"),
            ("proxy", "localhost:3128", "http://"),
            ("code_map", "/nowhere/codes", "/nowhere/codes"),
            ("test_data", "maybe", "yes"),
            ("ulr", "x", "url")):
        gateway.write(**{key: value})
        refused(gateway, CONFIG, key, *words)
    gateway.write(auth="bearer")
    refused(gateway, CONFIG, "credential", "fhir-token", "credstore")
    gateway.config.write_text(gateway.config.read_text().replace("kind=fhir", "kind=fhir\nunbound=send"))
    if "unbound" not in gateway.once(expect=CONFIG):
        raise Failure(f"unbound=send: {gateway.said}")


def test_code_maps(rig, gateway):
    codes = rig.directory / "bad-codes"
    for text, word in (("[zone]\nchin=SNOMED 1\n", "[zone] chin"), ("[code]\nxyz=urn:a|b|c\n", "[code] xyz"),
                       ("[zones]\n", "[zones]"), ("chin=1\n", "bad-codes")):
        codes.write_text(text)
        gateway.write(code_map=codes)
        refused(gateway, CONFIG, "code_map", word)


def test_reach(rig, server, gateway, ca):
    """A server that is not there, not FHIR, not R4, not who it should be."""
    base = server.base
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gateway.write(ca=ca, url=f"https://localhost:{port}/fhir")
    if "[fhir] url" not in gateway.once(expect=WAITING):
        raise Failure(f"nobody listens: {gateway.said}")
    gateway.write(ca=ca, url=base.replace("/fhir", "/nothing"))
    refused(gateway, CONFIG, "url", "404", "base URL")
    gateway.write(ca=ca, url=base + "/Procedure")
    refused(gateway, CONFIG, "url", "base URL")
    gateway.write()
    refused(gateway, CONFIG, "ca", "not vouched for", "ca=FILE")
    other, _, _ = fhir_rig.make_ca(rig.directory, "other")
    gateway.write(ca=other)
    refused(gateway, CONFIG, "ca", "not vouched for")
    gateway.write(ca=ca, url=base.replace("localhost", "127.0.0.1"))
    gateway.once(expect=OK)
    gateway.write(ca=ca)
    gateway.write(ca=ca, proxy=f"http://127.0.0.1:{port}")
    gateway.forget()
    if "[fhir] url" not in gateway.once(expect=WAITING):
        raise Failure(f"a proxy that is not there: {gateway.said}")
    gateway.write(ca=ca)
    for version in ("3.0.2", "5.0.0", "4.3.0"):
        server.reset(fhirVersion=version)
        refused(gateway, FOREIGN, "url", version, "R4")
    server.reset(faults=[{"kind": "garbage", "path": "metadata", "body": "<html>login</html>"}])
    refused(gateway, CONFIG, "url", "no FHIR server")
    server.reset(faults=[{"kind": "status", "status": 503, "path": "metadata"}])
    gateway.forget()
    gateway.once(expect=WAITING)


def deliver(what, server, penteld, gateway):
    gateway.forget()
    gateway.until_done()
    dump = check(what, list(penteld.snapshot().values()), server)
    leaks = [word for word in (*SECRETS.values(), "Q-4711") if word in gateway.said]
    if leaks or "PRIVATE" in gateway.said:
        raise Failure(f"{what}: the log has {leaks}: {gateway.said}")
    return dump


def put_secret(gateway, name, text=None):
    (gateway.secrets / name).write_text((text or SECRETS[name]) + "\n")


def test_bearer(server, penteld, gateway, ca):
    server.reset(auth={"kind": "bearer", "token": SECRETS["fhir-token"]})
    gateway.write(ca=ca)
    refused(gateway, CONFIG, "auth", "401")
    put_secret(gateway, "fhir-token", "wrong")
    gateway.write(ca=ca, auth="bearer")
    refused(gateway, CONFIG, "credential", "401")
    put_secret(gateway, "fhir-token", "two words")
    refused(gateway, CONFIG, "credential", "blanks")
    put_secret(gateway, "fhir-token")
    deliver("bearer", server, penteld, gateway)


def test_oauth(server, penteld, gateway, ca, kind, setup, keys):
    """A token, one that ends, and one that is refused in the middle: 401, then a new one."""
    server.reset(auth=setup)
    gateway.write(ca=ca, token_url=server.token, **keys)
    dump = deliver(kind, server, penteld, gateway)
    if dump["issued"] != 1:
        raise Failure(f"{kind}: {dump['issued']} tokens for one run, {dump['why']}")
    server.reset(auth=setup, faults=[{"kind": "status", "status": 401, "method": "POST", "path": "^/fhir$"}])
    gateway.forget()
    gateway.once(expect=OK)  # within one run: the token was renewed at once
    dump = check(f"{kind}, 401 in between", list(penteld.snapshot().values()), server)
    if dump["issued"] != 2 or dump["struck"] != 1:
        raise Failure(f"{kind}: {dump['issued']} tokens after a 401")
    server.reset(auth=setup, faults=[{"kind": "status", "status": 500, "path": "^/token$"}])
    deliver(f"{kind}, 500 at the token endpoint", server, penteld, gateway)
    server.reset(auth=setup, faults=[{"kind": "status", "status": 401, "times": 0, "method": "POST",
                                      "path": "^/fhir$"}])
    gateway.forget()
    if "credential must be allowed" not in gateway.once(expect=WAITING):
        raise Failure(f"{kind}: never allowed to write: {gateway.said}")


def make_key(rig, name, *options):
    key, public = rig.directory / f"{name}.key", rig.directory / f"{name}.pub"
    fhir_rig.run("openssl", "genpkey", *options, "-out", key)
    fhir_rig.run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    return key.read_text(), public.read_text()


def test_jwt(rig, server, penteld, gateway, ca):
    rsa = make_key(rig, "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    p384 = make_key(rig, "p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    p256 = make_key(rig, "p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    keys = {"auth": "private-key-jwt", "client_id": "gw-1", "key_id": "k1", "scope": "system/*.cruds"}
    for kind, (private, public) in (("RS384", rsa), ("ES384", p384)):
        put_secret(gateway, "fhir-private-key", private.strip())
        setup = {"kind": "jwt", "clientId": "gw-1", "publicKey": public, "kid": "k1"}
        test_oauth(server, penteld, gateway, ca, kind, setup, keys)
    put_secret(gateway, "fhir-private-key", rsa[0].strip())
    refused(gateway, CONFIG, "credential", "refused it with 401", "client_id")
    put_secret(gateway, "fhir-private-key", p256[0].strip())
    refused(gateway, CONFIG, "credential", "P-384")
    put_secret(gateway, "fhir-private-key", "no key at all")
    refused(gateway, CONFIG, "credential", "PEM")
    gateway.write(ca=ca, token_url=server.token.replace("/token", "/nowhere"), **keys)
    put_secret(gateway, "fhir-private-key", p384[0].strip())
    refused(gateway, CONFIG, "token_url", "404")
    # An endpoint that talks at length, with colours.
    gateway.write(ca=ca, token_url=server.token, **keys)
    server.plan({"kind": "status", "status": 400, "path": "^/token$", "times": 0,
                 "raw": "{\"error\":\"" + "\\u001b[31m\u00e4" * 9000 + "\"}"})
    refused(gateway, CONFIG, "credential", "refused it with 400 \\x1b[31m\u00e4", "belong together")
    if len(gateway.said.encode()) > 1000 or "\x1b" in gateway.said:
        raise Failure(f"the endpoint's words: {gateway.said[:2000]!r}")
    server.plan()


def run(rig, server):
    ca = rig.directory / "ca.pem"
    penteld = Penteld(rig.env["DBUS_SYSTEM_BUS_ADDRESS"]).start()
    id = penteld.add()
    penteld.annotate(id, patient="Q-4711")
    gateway = Gateway(rig, server)
    quiet(gateway)
    test_keys(gateway)
    test_code_maps(rig, gateway)
    test_reach(rig, server, gateway, ca)
    test_bearer(server, penteld, gateway, ca)
    put_secret(gateway, "fhir-client-secret")
    test_oauth(server, penteld, gateway, ca, "secret",
               {"kind": "secret", "clientId": "gw/1", "secret": SECRETS["fhir-client-secret"]},
               {"auth": "client-secret", "client_id": "gw/1"})
    test_jwt(rig, server, penteld, gateway, ca)
    penteld.stop()
    print("ok: configuration, TLS, bearer, client secret, RS384, ES384")
    return 0


if __name__ == "__main__":
    fhir_rig.main(run, 120, tls=True)
