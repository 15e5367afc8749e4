"""What MXNet 1.9.1 makes of operators: python mxnet_operators.py FOLDER

FOLDER holds index.json ([{name, train, grads}]) and for each name symbol.json and in.params (arg:, aux:, head:0, ...). Written beside them is
out.params: out:0, ..., grad: of all arguments but labels, aux: as left; symbol.json as MXNet writes it. Needs: pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older).
"""
import json
import os
import sys

os.environ['MXNET_MKLDNN_ENABLED'] = '0'
os.environ['MXNET_STORAGE_FALLBACK_LOG_VERBOSE'] = '0'
import mxnet as mx

folder = sys.argv[1]
with open(os.path.join(folder, 'index.json')) as file:
    cases = json.load(file)
for case in cases:
    at = os.path.join(folder, case['name'])
    symbol = mx.sym.load(os.path.join(at, 'symbol.json'))
    symbol.save(os.path.join(at, 'symbol.json'))
    given = mx.nd.load(os.path.join(at, 'in.params'))
    of_kind = lambda kind: {key.split(':', 1)[1]: array for key, array in given.items() if key.startswith(kind + ':')}
    args, aux, heads = of_kind('arg'), of_kind('aux'), of_kind('head')
    learned = [name for name in args if case['grads'] and not name.endswith('label')]
    executor = symbol.bind(
        mx.cpu(), args, args_grad={name: mx.nd.zeros(args[name].shape) for name in learned},
        grad_req={name: 'write' if name in learned else 'null' for name in args}, aux_states=aux)
    outputs = executor.forward(is_train=case['train'])
    result = {'out:%d' % i: output.copy() for i, output in enumerate(outputs)}
    if case['grads']:
        executor.backward([heads[str(i)] for i in range(len(outputs))])
        result.update({'grad:' + name: executor.grad_dict[name] for name in learned})
    result.update({'aux:' + name: array for name, array in executor.aux_dict.items()})
    mx.nd.save(os.path.join(at, 'out.params'), result)
