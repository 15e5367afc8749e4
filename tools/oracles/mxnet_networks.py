"""What MXNet 1.9.1 makes of whole networks: python mxnet_networks.py FOLDER --seed N

FOLDER holds cases.json ([{name, file, symbol, input, scale, train, labels}]; `symbol` is a path). Written is FOLDER/NAME-forward.json, or
-step.json where it trains: shapes, and digests of every layer's output, or of gradients and moving statistics. Parameters follow from
seed and name (recipe.py). With `keep` the symbol is written as FOLDER/NAME-symbol.json. Needs: pip install mxnet==1.9.1 numpy==1.23.5.
"""
import argparse
import json
import os

os.environ.setdefault('MXNET_MKLDNN_ENABLED', '0')
os.environ['MXNET_STORAGE_FALLBACK_LOG_VERBOSE'] = '0'
import mxnet as mx
import numpy as np

from recipe import hashed, mxnet_kind, scaled, size_of


def recipe(name, shape, seed):
    u = hashed(name, np.arange(size_of(shape), dtype=np.int64), seed) / 2.0 ** 32 - 0.5
    values = 256.0 * u if name == 'data' else scaled(mxnet_kind(name), u, shape)
    return mx.nd.array(values.astype(np.float32).reshape(shape))


def digest(array):
    a = array.asnumpy().astype(np.float64).ravel()
    return {'shape': list(array.shape), 'size': int(a.size), 'sum': float(a.sum()), 'abs': float(np.abs(a).sum()),
            'l2': float(np.sqrt((a * a).sum())), 'first': a[:8].tolist(), 'last': a[-8:].tolist()}


def inference(symbol, args, aux):
    inner = symbol.get_internals()
    names = [name for name in inner.list_outputs() if name.endswith('_output')]
    executor = mx.sym.Group([inner[name] for name in names]).bind(mx.cpu(), args, grad_req='null', aux_states=aux)
    outputs = executor.forward(is_train=False)
    return {'layers': {name: digest(output) for name, output in zip(names, outputs)}, 'output': outputs[-1].asnumpy().astype(float).tolist()}


def step(symbol, args, aux, given):
    learned = [name for name in args if name not in given]
    executor = symbol.bind(
        mx.cpu(), args, args_grad={name: mx.nd.zeros(args[name].shape) for name in learned},
        grad_req={name: 'write' if name in learned else 'null' for name in args}, aux_states=aux)
    outputs = executor.forward(is_train=True)
    executor.backward()
    return {'output': outputs[0].asnumpy().astype(float).tolist(),
            'gradients': {name: digest(executor.grad_dict[name]) for name in learned},
            'auxiliary_after': {name: digest(array) for name, array in executor.aux_dict.items()}}


def run(folder, case, seed):
    symbol = mx.sym.load(case['symbol'])
    if case['keep']:
        symbol.save(os.path.join(folder, case['name'] + '-symbol.json'))
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=tuple(case['input']))
    arguments = dict(zip(symbol.list_arguments(), arg_shapes))
    auxiliary = dict(zip(symbol.list_auxiliary_states(), aux_shapes))
    args = {name: recipe(name, shape, seed) for name, shape in arguments.items()}
    args['data'] = args['data'] * case['scale']
    for name in args:
        if name.endswith('label'):
            args[name] = mx.nd.array(case['labels'])
    aux = {name: recipe(name, shape, seed) for name, shape in auxiliary.items()}
    found = {'name': case['name'], 'seed': seed, 'input': case['input'], 'input_scale': case['scale'], 'train': case['train'],
             'labels': case['labels'], 'arguments': {name: list(shape) for name, shape in arguments.items()},
             'auxiliary': {name: list(shape) for name, shape in auxiliary.items()}}
    found.update(step(symbol, args, aux, [name for name in args if name == 'data' or name.endswith('label')]) if case['train']
                 else inference(symbol, args, aux))
    with open(os.path.join(folder, '%s-%s.json' % (case['name'], 'step' if case['train'] else 'forward')), 'w') as file:
        json.dump(found, file, separators=(',', ':'))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('folder')
parser.add_argument('--seed', type=int, default=0)
options = parser.parse_args()
with open(os.path.join(options.folder, 'cases.json')) as file:
    cases = json.load(file)
for one in cases:
    run(options.folder, one, options.seed)
