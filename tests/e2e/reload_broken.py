"""Files that no reload may accept: (name, function that puts it at a path), more than 200 of them."""

import os
import pathlib

KEYS = ["name", "address", "timeout", "cluster", "endpoints", "weight", "level", "balance", "retry", "breaker"]
VALUES = ["1", "-1", "1.5", "true", '"x"', "[]", "[1]", "{}", "1979-05-27", '"10 parsecs"']
TABLES = ["runtime", "admin", "log", "log.access", "overload"]
ROUTES = ['cluster = "nobody"', "", 'prefix = "x"\ncluster = "app"', 'regex = "("\ncluster = "app"', "respond = 1",
          'redirect = { status = 200 }', 'cluster = "app"\nclusters = []', 'path = "/a"\nprefix = "/b"\ncluster = "app"',
          'clusters = [{ name = "app", weight = -1 }]', 'cluster = ["app"]']
SYNTAX = ["[", "]", "x", "=", '"', "'", "[[listener", "a = ", "a = [1,", 'a = "', "a = {", "[a]\n[a]", "a = 1\na = 2",
          "a = 0x", "a = 1__0", "a = tru", "\x00", "\x7f", "[[a]]\n[a]", "a.b = 1\na = 2", "a = 01", 'a = "\\q"']


def text(content):
    return lambda path: put(path, content.encode("utf-8", "surrogateescape"))


def clear(path):
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


def put(path, content):
    clear(path)
    pathlib.Path(path).write_bytes(content)


def make(path, how):
    clear(path)
    how(path)


def broken_files(good):
    for piece in SYNTAX:
        yield f"syntax {piece!r}", text(good + "\n" + piece + "\n")
        yield f"syntax first {piece!r}", text(piece + "\n" + good)
    for size in range(1, len(good), max(1, len(good) // 20)):
        cut = good[:size]
        if "respond" not in cut or not cut.rstrip().endswith("}"):
            yield f"cut at {size}", text(cut)
    for table in TABLES:
        for value in VALUES[:7]:
            yield f"{table}.unknown = {value}", text(f"[{table}]\nunknown_key = {value}\n" + good.replace(
                "[runtime]\n", "").replace('[admin]\naddress = "127.0.0.1:0"', ""))
    for key in KEYS:
        for value in VALUES[:6]:
            yield f"listener {key} = {value}", text(
                f"[[listener]]\n{key} = {value}\nnonsense = 1\n[[listener.route]]\nrespond = {{ status = 200 }}\n")
    for route in ROUTES:
        yield f"route {route!r}", text(f'{good}\n[[listener.route]]\n{route}\n')
    for value in VALUES:
        if value not in ("[]", "{}"):
            yield f"timeout {value}", text(f"{good}\n[[listener.route]]\nrespond = {{}}\ntimeout = {value}\n")
        yield f"cluster of {value}", text(f'{good}\n[[cluster]]\nname = "c"\nendpoints = {value}\n')
        yield f"breaker {value}", text(
            f'{good}\n[[cluster]]\nname = "c"\nendpoints = ["h:1"]\nbreaker = {{ window = {value} }}\n')
    yield "two listeners of one name", text(good + '\n[[listener]]\nname = "in"\naddress = "127.0.0.1:1"\n'
                                            "[[listener.route]]\nrespond = {}\n")
    yield "an environment variable that is not set", text(good.replace('"127.0.0.1:0"', '"${NO_SUCH_VARIABLE_SET}"'))
    yield "empty", text("")
    yield "blank", text(" \n\t\n")
    yield "10 MiB of comment", text("# " + "x" * (10 << 20) + "\n" + good)
    yield "10 MiB of lines", text(good + "\na = 1" * (10 << 17))
    yield "binary", lambda path: put(path, bytes(range(256)) * 64)
    yield "ELF", lambda path: put(path, b"\x7fELF" + os.urandom(4096))
    yield "UTF-16", lambda path: put(path, good.encode("utf-16"))
    yield "invalid UTF-8", lambda path: put(path, good.encode() + b"\n# \xff\xfe\n")
    yield "nothing there", clear
    yield "a link to nothing", lambda path: make(path, lambda p: os.symlink("/no/such/file", p))
    yield "a link to itself", lambda path: make(path, lambda p: os.symlink(os.path.basename(p), p))
    yield "a pipe that nobody writes", lambda path: make(path, os.mkfifo)
    yield "a device", lambda path: make(path, lambda p: os.symlink("/dev/zero", p))
    yield "a directory", lambda path: make(path, os.mkdir)
