"""sslscan and testssl.sh against a listener as it is without a word about
versions, ciphers or groups: nothing that they call weak or vulnerable.

What they found when this was written is in tests/data/tls_scanners.md.
"""
# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as et

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..",
                                "support"))
import case as cases
from case import case, check, die_with_parent, eq, need, run, temp_dir
from tls import Ca
from web import HttpOrigin
from weir import Weir, one

# testssl.sh alone takes two minutes.
cases.FILE_LIMIT *= 4

# Of the tests' own CA, of loopback, and of weir's having no site behind it.
HARMLESS = ("cert_", "cert", "HSTS", "HPKP", "security_headers", "DNS_CAArec",
            "overall_grade", "grade_cap_reason", "HTTP_", "cookie", "banner_",
            "OCSP_", "engine_problem", "scanProblem", "optimal_proto",
            "old_fallback", "IPv6", "certificate_transparency", "final_score",
            "intermediate_cert", "chain_of_trust", "BREACH", "ipv4_in_header",
            "HTTP_status_code", "DNS_HTTPS_rrecord", "cipher_order")
GOOD = {"OK", "INFO", "DEBUG"}


def listener():
    ca = Ca()
    certs = [ca.cert("localhost", "DNS:localhost", rsa=rsa)
             for rsa in (False, True)]
    return Weir(one(HttpOrigin(keep=False), front="tls = { certificates = "
                    "( { %s }, { %s } ); };" % tuple(
                        c.conf() for c in certs)))


@case
def sslscan_finds_nothing_weak():
    w = listener()
    r = subprocess.run(
        [need("sslscan"), "--xml=-", "--show-certificate",
         "--sni-name=localhost", "127.0.0.1:%d" % w.conf.ports["front"]],
        capture_output=True, timeout=600, preexec_fn=die_with_parent)
    found = et.fromstring(r.stdout).find("ssltest")
    on = {p.get("type") + p.get("version") for p in found.iter("protocol")
          if p.get("enabled") == "1"}
    eq(on, {"tls1.2", "tls1.3"}, "versions")
    for p in found.iter("renegotiation"):
        check(p.get("supported") == "0" or p.get("secure") == "1",
              "renegotiation: %r" % p.attrib)
    for p in found.iter("compression"):     # its own OpenSSL may have none
        eq(p.get("supported"), "0", "compression")
    for p in found.iter("heartbleed"):
        eq(p.get("vulnerable"), "0", "heartbleed")
    ciphers = list(found.iter("cipher"))
    check(len(ciphers) >= 6, "%d ciphers" % len(ciphers))
    for c in ciphers:
        check(c.get("strength") in ("strong", "acceptable"), "%r" % c.attrib)
        check("GCM" in c.get("cipher") or "CHACHA20" in c.get("cipher"),
              c.get("cipher"))
    for g in found.iter("group"):
        check(int(g.get("bits")) >= 112, g.get("name"))


@case
def testssl_finds_nothing_weak():
    w = listener()
    path = os.path.join(temp_dir(), "testssl.json")
    subprocess.run(
        [need("testssl"), "--quiet", "--color", "0", "--warnings", "off",
         "--ip", "127.0.0.1", "--nodns", "none", "--jsonfile", path,
         "--connect-timeout", "5", "--openssl-timeout", "5", "-p", "-s", "-f",
         "-P", "-S", "-U", "localhost:%d" % w.conf.ports["front"]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=1000, preexec_fn=die_with_parent)
    with open(path) as f:
        found = json.load(f)
    check(len(found) > 60, "%d findings" % len(found))
    bad = ["%(id)s: %(severity)s: %(finding)s" % x for x in found
           if x["severity"] not in GOOD and
           not x["id"].startswith(HARMLESS)]
    eq(bad, [], "findings of testssl.sh")
    by_id = {x["id"].split(" ")[0]: x["finding"] for x in found}
    for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        check("not offered" in by_id[name], "%s: %s" % (name, by_id[name]))
    for name in ("TLS1_2", "TLS1_3"):
        check(by_id[name].startswith("offered"), by_id[name])
    for name in ("heartbleed", "CCS", "ticketbleed", "ROBOT",
                 "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32",
                 "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"):
        check("not vulnerable" in by_id[name] or "not supported" in
              by_id[name], "%s: %s" % (name, by_id[name]))


if __name__ == "__main__":
    run()
