"""Certificates for a case: an authority and what it signs, made by openssl(1)
when they are asked for, into the test's own folder.

    ca = Authority()
    pair = ca.server()          # for "localhost" and 127.0.0.1
    ca.file, pair.file, pair.key, pair.both         # paths of PEM files

Keys are of EC, made in a moment, where RSA is not asked for.

SPDX-License-Identifier: MIT
"""
import hashlib
import itertools
import os
import ssl
import subprocess

from case import Failed, die_with_parent, need, put, temp_dir

_numbers = itertools.count(1)

# -startdate and -enddate of openssl-ca(1).
PAST = ("20200101000000Z", "20200201000000Z")
NOW = ("20200101000000Z", "20490101000000Z")
FUTURE = ("20480101000000Z", "20490101000000Z")


def openssl(*argv, status=0):
    """What it prints, as bytes; files are those of the test's folder."""
    r = subprocess.run([need("openssl"), *argv], capture_output=True,
                       cwd=temp_dir(), stdin=subprocess.DEVNULL, timeout=60,
                       preexec_fn=die_with_parent)
    if r.returncode != status:
        raise Failed("openssl %s: %s" % (" ".join(argv), r.stderr.decode()))
    return r.stdout


class Pair:
    """A certificate (.file, PEM, its chain behind it), its key (.key), and both
    in one file (.both)."""

    def __init__(self, stem):
        self.file, self.key = stem + ".crt", stem + ".key"
        self.both = stem + ".pem"

    @property
    def crt(self):
        return self.file

    def conf(self):
        """As keys of a group of a configuration file."""
        return 'certificate = "%s"; key = "%s";' % (self.file, self.key)

    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()

    def join(self):
        put(os.path.basename(self.both), _read(self.file) + _read(self.key))
        return self

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(
            _read(self.file).decode().split("-----END")[0] +
            "-----END CERTIFICATE-----\n")


def _read(path):
    with open(path, "rb") as f:
        return f.read()


def _request(stem, subject, rsa=False):
    """A key, and a request to be signed."""
    kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt",
                                     "ec_paramgen_curve:prime256v1"]
    openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", subject,
            "-keyout", stem + ".key", "-out", stem + ".csr")
    # Servers that drop their privileges read it, too.
    os.chmod(stem + ".key", 0o600)


def _stem(name):
    return os.path.join(temp_dir(), "%s%d" % (name, next(_numbers)))


CONF = """
[ca]
default_ca = it
[it]
dir = %(dir)s
new_certs_dir = $dir
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
certificate = $dir/ca.crt
private_key = $dir/ca.key
default_md = sha256
default_crl_days = 3650
unique_subject = no
policy = any
[any]
commonName = optional
organizationName = optional
[extensions]
"""


class Authority:
    """Signs. `signer` is one above it, of which it is an intermediate: then its
    certificates' files have it behind them."""

    def __init__(self, name="weir test CA", signer=None):
        self.name, self.signer = name, signer
        self.dir = _stem("ca")
        os.mkdir(self.dir)
        self.file = os.path.join(self.dir, "ca.crt")
        self.key = os.path.join(self.dir, "ca.key")
        self.conf = os.path.join(self.dir, "conf")
        for file, text in (("index", ""), ("serial", "1000\n"),
                           ("crlnumber", "01\n"),
                           ("conf", CONF % {"dir": self.dir})):
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(text)
        stem = os.path.join(self.dir, "ca")
        _request(stem, "/CN=" + name)
        extensions = "basicConstraints = critical, CA:true\n" \
            "keyUsage = critical, keyCertSign, cRLSign\n" \
            "subjectKeyIdentifier = hash\n"
        if signer is None:
            self._sign(stem, extensions, NOW, "-selfsign", "-keyfile",
                       self.key)
        else:
            signer._sign(stem, extensions, NOW)

    def _sign(self, stem, extensions, when, *more):
        with open(stem + ".ext", "w") as f:
            f.write(CONF % {"dir": self.dir} + extensions)
        openssl("ca", "-batch", "-notext", "-config", stem + ".ext",
                "-extensions", "extensions", "-startdate", when[0],
                "-enddate", when[1], "-in", stem + ".csr", "-out",
                stem + ".crt", *more)

    def make(self, subject, names=(), when=NOW, usage=None, rsa=False):
        """Any certificate. names: "DNS:a", "IP:127.0.0.1", ...; usage:
        serverAuth, clientAuth."""
        stem = _stem("cert")
        _request(stem, subject, rsa)
        self._sign(stem, "basicConstraints = critical, CA:false\n" +
                   ("subjectAltName = %s\n" % ",".join(names)
                    if names else "") +
                   ("extendedKeyUsage = %s\n" % usage if usage else ""),
                   when)
        pair = Pair(stem)
        if self.signer is not None:
            with open(pair.file, "ab") as f:
                f.write(_read(self.file))
        return pair.join()

    def server(self, *hosts, when=NOW):
        """hosts: names and IPv4 addresses."""
        hosts = hosts or ("localhost", "127.0.0.1")
        return self.make("/CN=" + hosts[0], [
            ("IP:" if h.replace(".", "").isdigit() else "DNS:") + h
            for h in hosts], when, "serverAuth")

    def client(self, name, when=NOW, subject=None):
        return self.make(subject or "/CN=" + name, (), when, "clientAuth")

    def expired_server(self, *hosts):
        return self.server(*hosts, when=PAST)

    def expired_client(self, name):
        return self.client(name, when=PAST)

    def future_server(self, *hosts):
        return self.server(*hosts, when=FUTURE)

    def misnamed_server(self):
        """For other names than those that tests ask for."""
        return self.server("elsewhere.test", "192.0.2.1")

    def revoke(self, pair):
        """The next crl() says so."""
        openssl("ca", "-config", self.conf, "-revoke", pair.file)
        return pair

    def crl(self):
        """The list of those that are revoked; a path."""
        path = _stem("crl") + ".pem"
        openssl("ca", "-config", self.conf, "-gencrl", "-out", path)
        return path


def self_signed(*hosts, subject=None):
    """Nobody signed it; the alternative names are as Authority.server()'s."""
    hosts = hosts or ("localhost", "127.0.0.1")
    pair = Pair(_stem("self"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
            "-subj", subject or "/CN=" + hosts[0], "-addext",
            "subjectAltName=" + ",".join(
                ("IP:" if h.replace(".", "").isdigit() else "DNS:") + h
                for h in hosts),
            "-keyout", pair.key, "-out", pair.file)
    return pair.join()


def truncated(pair):
    """Its files, cut in the middle."""
    cut = Pair(_stem("cut"))
    for name in ("file", "key", "both"):
        text = _read(getattr(pair, name))
        put(os.path.basename(getattr(cut, name)), text[:len(text) // 2])
    return cut


# ------------------------------------------------------- Python's own contexts

def server_context(pair, ca=None, alpn=(), need_client=True):
    """For a scripted server; ca: an Authority whose clients it wants."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pair.file, pair.key)
    if ca is not None:
        c.load_verify_locations(ca.file)
        c.verify_mode = ssl.CERT_REQUIRED if need_client \
            else ssl.CERT_OPTIONAL
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


def client_context(ca=None, pair=None, alpn=(), version=None):
    """For a client: verifies by ca, or without one, nothing; shows pair."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        c.load_verify_locations(ca.file)
    else:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    if pair is not None:
        c.load_cert_chain(pair.file, pair.key)
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if version is not None:
        c.minimum_version = c.maximum_version = version
    return c


def encrypt(wire, context, server_hostname=None, server_side=False):
    """TLS on a Wire from now on, in place; what is in its buf is lost, so there
    must be nothing."""
    if wire.buf:
        raise Failed("in the clear: %r" % bytes(wire.buf[:100]))
    wire.sock.settimeout(wire.limit)
    wire.sock = context.wrap_socket(wire.sock, server_side=server_side,
                                    server_hostname=server_hostname,
                                    suppress_ragged_eofs=False)
    return wire


def over_tls(script, context):
    """A script of an Origin, as one whose connections begin with TLS."""
    def secured(link):
        try:
            encrypt(link, context, server_side=True)
        except (ssl.SSLError, OSError):
            return              # the peer did not want it: its right
        script(link)
    return secured
