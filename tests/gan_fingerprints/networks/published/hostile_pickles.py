"""Hostile and broken pickles, by name; see hostile.py."""

import os
import pickle
import struct

import numpy as np

from tests.published import Network, pickled

# What a pickle must not reach.
GLOBALS = """
os.system posix.system nt.system os.popen os.execvp subprocess.Popen subprocess.call
subprocess.check_output builtins.eval builtins.exec builtins.compile builtins.__import__
builtins.open builtins.getattr __builtin__.eval importlib.import_module runpy.run_path
code.interact pty.spawn timeit.timeit shutil.rmtree socket.create_connection ctypes.CDLL
functools.partial operator.attrgetter types.FunctionType marshal.loads pickle.loads
_pickle.loads copyreg.__newobj__ _codecs.encode numpy.load numpy.fromfile numpy.memmap
numpy.ctypeslib.load_library numpy.core.multiarray.fromfile numpy.core.multiarray.dot
numpy.testing._private.utils.runstring numpy._core.multiarray._reconstruct.__globals__
keras.models.load_model tensorflow.io.read_file tfutil.init_tf tfutil.run tfutil.network
tfutil.Network.setup tfutil.Network.__init__ tfutil2.Network xtfutil.Network
""".split()  # noqa: SIM905


class Evil:
    """Pickles to a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def text(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def wanting(name: str, arguments: bytes) -> bytes:
    """Protocol 4: a call of a global."""
    module, _, function = name.rpartition(".")
    return b"\x80\x04" + text(module) + text(function) + b"\x93" + arguments + b"\x85R."


def code_pickles(command: str) -> dict[str, bytes]:
    """Every route by which a pickle can reach a function."""
    shell = text(command)
    line = command.encode()
    files = {f"reduce_{p}": pickle.dumps(Evil(os.system, command), p) for p in range(6)}
    files |= {f"global_{name}": wanting(name, shell) for name in GLOBALS}
    files |= {
        "instance": b"(S'" + line + b"'\nios\nsystem\n.",
        "instance_4": b"\x80\x04(" + shell + b"ios\nsystem\n.",
        "object": b"\x80\x04(cos\nsystem\n" + shell + b"o.",
        "global_line": b"cos\nsystem\n(S'" + line + b"'\ntR.",
        "global_long": b"\x80\x04c" + b"a" * 10_000_000,
        "extension_1": b"\x80\x04\x82\x01.",
        "extension_2": b"\x80\x04\x83\x01\x01.",
        "extension_4": b"\x80\x04\x84\x01\x01\x01\x01.",
        "persistent": b"\x80\x04" + shell + b"Q.",
        "persistent_line": b"\x80\x04P" + line + b"\n.",
        "new_object_ex": b"\x80\x04ctfutil\nNetwork\n)}\x92.",
        "new_object_with_arguments": b"\x80\x04ctfutil\nNetwork\n" + shell + b"\x85\x81.",
        "new_dtype": b"\x80\x04cnumpy\ndtype\n)\x81.",
        "call_of_the_class": b"\x80\x04ctfutil\nNetwork\n)R.",
        "call_of_an_array": b"\x80\x04cnumpy\nndarray\nK\x01\x85\x85R.",
        "call_of_a_text": b"\x80\x04" + text("eval") + shell + b"\x85R.",
        "call_of_a_call": b"\x80\x04cbuiltins\ngetattr\ncos\nsystem\n" + text("x") + b"\x86R)R.",
        "state_of_a_global": b"\x80\x04cnumpy\nndarray\n}" + text("__class__") + b"Nsb.",
        "state_of_a_list": b"\x80\x04]}b.",
        "state_pair": b"\x80\x04ctfutil\nNetwork\n)\x81N}\x86b.",
        "state_twice": b"\x80\x04ctfutil\nNetwork\n)\x81}b}b.",
        "state_with_an_integer_key": b"\x80\x04ctfutil\nNetwork\n)\x81}K\x01Nsb.",
        "set_item_of_the_class": b"\x80\x04ctfutil\nNetwork\n" + text("x") + b"Ns.",
        "append_to_the_class": b"\x80\x04ctfutil\nNetwork\nNa.",
        "reconstruct_of_the_class": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n"
        b"ctfutil\nNetwork\nK\x00\x85C\x01b\x87R.",
        "name_not_a_text": b"\x80\x04K\x01K\x02\x93.",
        "name_with_line_feeds": b"\x80\x04" + text("os\n") + text("sys\x1b[2Jtem") + b"\x93.",
        "embedded_pickle": pickle.dumps(pickle.dumps(Evil(os.system, command)), 4),
        "in_arguments": pickled(network({"resolution": Evil(os.system, command)})),
        "in_the_source": pickled(_with(network(), build_module_src=Evil(os.system, command))),
        "in_variables": pickled(network({}, {"lod": Evil(os.system, command)})),
        "in_a_second_network": pickled((network(), Evil(os.system, command), network())),
        "object_array": pickled(network({}, {"lod": np.array([Evil(os.system, command)])})),
        "object_scalar": pickled(network({}, {"lod": np.array(Evil(os.system, command))})),
    }  # fmt: skip
    return files


def network(arguments=None, variables=None, function="G_paper") -> Network:
    """A published network of 8×8 pixels, more or less."""
    given = {"num_channels": 3, "resolution": 8, "label_size": 0, "fmap_base": 32, "fmap_max": 8}
    given |= arguments or {}
    weights = {"lod": np.float32(0), "4x4/Dense/weight": np.ones((8, 128), np.float32)}
    return Network(function, given, weights if variables is None else variables)


def _with(net: Network, **state) -> Network:
    net.state |= state
    return net


def array(shape: bytes, kind: bytes = b"", data: bytes = b"C\x04abcd", state: bytes = b"") -> bytes:
    """A pickle of an array whose parts are given as opcodes."""
    kind = kind or text("f4") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xff" * 1
    dtype = b"cnumpy\ndtype\n" + kind + (state or b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
    return (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + shape + dtype + b"\x89" + data + b"tb."
    )  # fmt: skip


def gigantic_pickles() -> dict[str, bytes]:
    """Declared or built to be larger than memory."""
    long = b"\x8a\x08" + struct.pack("<q", 2**62)
    return {
        "bytes_8": b"\x80\x04\x8e" + struct.pack("<Q", 2**62),
        "bytes_4": b"\x80\x04B" + struct.pack("<I", 2**32 - 1) + b"abc.",
        "bytearray_8": b"\x80\x05\x96" + struct.pack("<Q", 2**63 + 5) + b"abc.",
        "text_4": b"\x80\x04X" + struct.pack("<I", 2**31) + b"abc.",
        "text_8": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
        "long_1": b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
        "long_4": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
        "long_negative": b"\x80\x04\x8b" + struct.pack("<i", -1) + b".",
        "integer_line": b"\x80\x04I" + b"9" * 5_000_000 + b"\n.",
        "memo": b"\x80\x04Nr\xff\xff\xff\xff0j\xfe\xff\xff\xff.",
        "deep_tuples": b"\x80\x04)" + b"\x85" * 3_000_000 + b".",
        "deep_lists": b"\x80\x04" + b"]" * 90_000 + b"a" * 89_999 + b".",
        "deep_dicts": b"\x80\x04" + (b"}" + text("a")) * 40_000 + b"N" + b"s" * 40_000 + b".",
        "laughs": b"\x80\x04()\x94" + b"h\x00h\x00\x86q\x00" * 20_000 + b"t.",
        "laughs_in_lists": b"\x80\x04]\x94" + b"(" + b"h\x00" * 45_000 + b"e.",
        "list_in_itself": b"\x80\x04]\x94h\x00a.",
        "duplicates": b"\x80\x04]" + b"2\x86" * 1_000_000 + b".",
        "marks": b"\x80\x04" + b"(" * 5_000_000 + b".",
        "many_texts": b"\x80\x04" + (b"\x8c\xff" + b"a" * 255) * 200_000 + b".",
        "shape": array(long + long + b"\x86"),
        "shape_of_nines": array(b"(" + b"K\x09" * 70_000 + b"t"),
        "shape_negative": array(b"J\xff\xff\xff\xff\x85"),
        "shape_zero": array(b"K\x00" + long + b"\x86", data=b"C\x00"),
        "shape_of_texts": array(text("1") + b"\x85"),
        "shape_true": array(b"\x88\x85"),
        "shape_itself": array(b"K\x02\x85"),
        "itemsize": array(b"K\x01\x85", text("V2000000000") + b"\x89\x88\x87R(K\x03" + text("<")
                          + b"NNNJ\xff\xff\xff\xff"),
        "objects": array(b"K\x01\x85", text("O8") + b"\x89\x88\x87R(K\x03" + text("|")
                         + b"NNNJ\xff\xff\xff\xff"),
        "fields": array(b"K\x01\x85", text("f4") + b"\x89\x88\x87R(K\x03" + text("<") + b"N"
                        + text("a") + b"\x85}J\xff\xff\xff\xff"),
        "byte_order": array(b"K\x01\x85", text("f4") + b"\x89\x88\x87R(K\x03" + text("!")
                            + b"NNNJ\xff\xff\xff\xff"),
        "data_elsewhere": array(b"K\x01\x85", data=text("abcd")),
        "data_missing": array(b"K\x01\x85", data=b"N"),
    }  # fmt: skip


def broken_pickles(good: bytes) -> dict[str, bytes]:
    """Cut, changed or of another kind."""
    files = {f"cut_{i:02d}": good[: 1 + i * (len(good) - 1) // 50] for i in range(50)}
    places = np.random.default_rng(0).choice(min(len(good), 700), 50, replace=False)
    for place in places:
        changed = bytearray(good)
        changed[place] ^= 1 << (place % 8)
        files[f"flipped_{place:04d}"] = bytes(changed)
    for protocol in (0, 1, 2, 6, 255):
        files[f"protocol_{protocol}"] = b"\x80" + bytes([protocol]) + good[2:]
    return files | {
        "written_in_protocol_0": pickle.dumps({"a": [1, 2.5, None]}, 0),
        "written_in_protocol_2": pickle.dumps({"a": [1, 2.5, None]}, 2),
        "protocol_twice": good[:2] + good,
        "longer": good + b"N.",
        "twice": good + good,
        "empty": b"",
        "one_byte": b"\x80",
        "no_value": b"\x80\x04.",
        "left_over": b"\x80\x04NN.",
        "open_mark": b"\x80\x04(N.",
        "page": b"<!DOCTYPE html><html><title>Quota exceeded</title></html>",
        "words": b"celeba",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "zeros": bytes(10_000),
        "number": pickle.dumps(5, 4),
        "dict": pickle.dumps({"variables": []}, 4),
        "array": pickle.dumps(np.zeros(3, np.float32), 4),
        "empty_tuple": pickle.dumps((), 4),
        "four_networks": pickled((network(),) * 4),
        "network_without_state": b"\x80\x04ctfutil\nNetwork\n)\x81.",
        "empty_state": b"\x80\x04ctfutil\nNetwork\n)\x81}b.",
        "another_function": pickled(network(function="G_style")),
        "function_not_a_text": pickled(_with(network(), build_func_name=[1])),
        "arguments_not_a_dict": pickled(_with(network(), static_kwargs=[1])),
        "variables_not_a_list": pickled(_with(network(), variables={"a": 1})),
        "variable_not_a_pair": pickled(_with(network(), variables=[("lod",)])),
        "variable_of_text": pickled(network({}, {"lod": "0"})),
        "variable_of_texts": pickled(network({}, {"lod": np.array(["abc"])})),
        "variable_twice": pickled(_with(network(), variables=[("lod", np.float32(0))] * 2)),
        "complex": pickled(network({}, {"lod": np.zeros(2, np.complex64)})),
        "structured": pickled(network({}, {"lod": np.zeros(2, "f4,f4")})),
        "lod_nan": pickled(network({}, {"lod": np.float32("nan")})),
        "lod_below": pickled(network({}, {"lod": np.float32(-1)})),
        "lod_beyond": pickled(network({}, {"lod": np.float32(1e30)})),
    } | {
        f"argument_{name}_{value}".replace("/", ""): pickled(network({name: value}))
        for name, value in (
            ("resolution", 2**30), ("resolution", 33), ("resolution", -4), ("resolution", "8"),
            ("resolution", 8.5), ("resolution", None), ("fmap_base", 2**60), ("fmap_max", 10**400),
            ("label_size", -1), ("label_size", 2**40), ("num_channels", 1), ("use_wscale", False),
            ("fmap_decay", 2), ("fused_scale", "yes"), ("resolution", [8] * 1000),
        )
    }  # fmt: skip
