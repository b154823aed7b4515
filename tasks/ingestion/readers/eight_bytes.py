"""Eight bytes of an array at once, for compiled code: numba itself has no unaligned access."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _load_code(_typing: Any, array: Any, _index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        return builder.load(address, align=1)

    return types.uint64(array, types.uint64), generate


def _store_code(_typing: Any, array: Any, _index: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=1)
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), generate


def _first_byte_code(_typing: Any, _flags: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.uint64(types.uint64), generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())


# The eight bytes at an index of a uint8 array as a uint64, the same written, and the index of the
# lowest byte of a uint64 that is not 0.
load: Any = intrinsic(_load_code)
store: Any = intrinsic(_store_code)
first_byte: Any = intrinsic(_first_byte_code)
