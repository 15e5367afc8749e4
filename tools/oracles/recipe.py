"""Values that follow from a seed and a name: what networks too large to ship their parameters are filled with (test/support/mxnet.ts).

`indices` is 0, 1, ... n - 1 as 64-bit integers of NumPy's or of PyTorch's: both wrap, and neither is needed for the other.
"""


def hashed(name, indices, seed):
    """Of [0, 2^32): murmur3's 32-bit finaliser of FNV-1a of the name plus i times 0x9E3779B9, modulo 2^32. Seed 0 is the name alone."""
    h = 0x811C9DC5
    for byte in (name if seed == 0 else '%d/%s' % (seed, name)).encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = (h + indices * 0x9E3779B9) & 0xFFFFFFFF
    x = x ^ (x >> 16)
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)


def size_of(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def scaled(kind, u, shape):
    """What `u`, the hash over 2^32 less a half, is made to: a weight of that shape, a value about one, or a small one."""
    if kind == 'weight':
        return u * (24.0 / (size_of(shape) // shape[0])) ** 0.5
    return 1.0 + 0.5 * u if kind == 'one' else 0.2 * u


def mxnet_kind(name):
    if name.endswith('_weight'):
        return 'weight'
    return 'one' if name.endswith(('_gamma', '_var')) else 'small'


def torch_kind(name, shape):
    if len(shape) > 1:
        return 'weight'
    return 'one' if name.endswith(('running_var', 'bn.weight')) else 'small'
