"""Certificates made at run time by the openssl command, and both ends of TLS in Python's ssl."""

import pathlib
import ssl
import subprocess
import time

from backends import RawBackend
from http_reference import ByteSource
from wire import DEADLINE, Client


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """A certificate authority with its files in a directory."""

    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.name = name
        self.key = self.directory / "ca.key"
        self.certificate = self.directory / "ca.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, names, days=30, file=None, self_signed=False):
        """(certificate, key) for subject alternative names such as "DNS:localhost, URI:spiffe://a/b"."""
        base = self.directory / (file or name)
        key, request, certificate = (base.with_suffix(s) for s in (".key", ".csr", ".crt"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/O=Test/CN={name}", "-keyout", key, "-out", request)
        key.chmod(0o600)
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\n")
        issuer = ["-signkey", key] if self_signed else ["-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *issuer, "-days", days, "-extfile", extensions, "-out", certificate)
        return str(certificate), str(key)

    def issue_for(self, seconds, name, names):
        """As issue(), for so long from now; and when that will be over."""
        pair = self.issue(name, names)
        base = pathlib.Path(pair[0]).with_suffix("")
        config = self.directory / "short.cnf"
        (self.directory / "short.txt").write_text("")
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.directory}/short.txt\nnew_certs_dir={self.directory}\n"
                          "rand_serial=yes\ndefault_md=sha256\ndefault_days=1\nunique_subject=no\npolicy=any\n"
                          "[any]\norganizationName=optional\ncommonName=supplied\n")
        end = int(time.time()) + 1 + seconds
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.certificate, "-keyfile", self.key,
                "-in", base.with_suffix(".csr"), "-extfile", base.with_suffix(".ext"),
                "-enddate", time.strftime("%y%m%d%H%M%SZ", time.gmtime(end)), "-out", pair[0])
        return pair, end

    def revocation_list(self, *revoked):
        """The file of a list with these certificates on it."""
        config = self.directory / "ca.cnf"
        (self.directory / "index.txt").write_text("")
        (self.directory / "crlnumber").write_text("01\n")
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.directory}/index.txt\n"
                          f"crlnumber={self.directory}/crlnumber\ndefault_md=sha256\ndefault_crl_days=30\n")
        signer = ["-config", config, "-cert", self.certificate, "-keyfile", self.key]
        for certificate in revoked:
            openssl("ca", *signer, "-revoke", certificate)
        path = self.directory / "ca.crl"
        openssl("ca", *signer, "-gencrl", "-out", path)
        return str(path)

    def ocsp_response(self, certificate):
        """The file of a responder's answer that it is good, for a day."""
        serial = openssl("x509", "-in", certificate, "-noout", "-serial").decode().strip().split("=")[1]
        index = self.directory / "ocsp.txt"
        index.write_text(f"V\t491231235959Z\t\t{serial}\tunknown\t/CN=any\n")
        path = pathlib.Path(certificate).with_suffix(".ocsp")
        openssl("ocsp", "-index", index, "-CA", self.certificate, "-rsigner", self.certificate, "-rkey", self.key,
                "-issuer", self.certificate, "-cert", certificate, "-ndays", 1, "-respout", path)
        return str(path)


def client_context(authority, pair=None, version=None):
    context = ssl.create_default_context(cafile=authority.certificate)
    if pair:
        context.load_cert_chain(*pair)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsClient(Client):
    """A Client over TLS."""

    def __init__(self, address, context, name="localhost", session=None, deadline=DEADLINE):
        super().__init__(address, deadline)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session)
        except BaseException:
            self.sock.close()
            raise
        self.source = ByteSource(self.sock, deadline)


class TlsBackend(RawBackend):
    """A RawBackend over TLS. `failures`: handshakes that did not succeed; `resumed`: of each that did."""

    def __init__(self, pair, script=None, authority=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        if authority:
            self.context.load_verify_locations(authority.certificate)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.resumed = []
        self.peers = []
        super().__init__(script)

    def _serve(self, upstream):
        try:
            upstream.sock.settimeout(DEADLINE)
            upstream.sock = self.context.wrap_socket(upstream.sock, server_side=True)
        except OSError:
            upstream.sock.close()
            upstream.gone.set()
            return
        with self.changed:
            self.resumed.append(upstream.sock.session_reused)
            self.peers.append(upstream.sock.getpeercert())
        upstream.source = ByteSource(upstream.sock, DEADLINE * 3)
        super()._serve(upstream)


class BareTls:
    """A client whose bytes are in the test's hands: it can cut, half-close and stall."""

    def __init__(self, address, context, name="localhost"):
        self.client = Client(address)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self._until_done(self.tls.do_handshake)

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.client.send(data)

    def _until_done(self, step):
        while True:
            try:
                result = step()
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.client.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def send(self, data):
        self.tls.write(data)
        self._flush()

    def half_close(self):
        """close_notify and FIN."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()
        self.client.half_close()

    def read_all(self):
        """Everything up to close_notify; ssl.SSLEOFError where the connection ends without."""
        data = b""
        while True:
            try:
                piece = self._until_done(lambda: self.tls.read(65536))
            except ssl.SSLZeroReturnError:
                return data
            if not piece:
                return data
            data += piece
