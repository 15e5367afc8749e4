"""MXNet 1.9 with oneDNN: convolution, its gradients, products, and training steps of a network given as symbol JSON."""
import os

from lines import decode, encode, serve

import mxnet as mx
import numpy as np


def array(given, axes=None):
    data = np.frombuffer(decode(given), np.float32).reshape(given["shape"])
    return mx.nd.array(data if axes is None else np.ascontiguousarray(data.transpose(axes)))


def hello():
    features = mx.runtime.Features()
    return {
        "name": "MXNet", "threads": int(os.environ["OMP_NUM_THREADS"]),
        "versions": {"mxnet": mx.__version__, "numpy": np.__version__, "oneDNN": features.is_enabled("MKLDNN")},
    }


NCHW = (0, 3, 1, 2)


def prepare(problem):
    kind = problem["kind"]
    if kind == "step":
        return step(problem)
    if kind == "matmul":
        return matmul(problem)
    if kind in ("conv2d", "conv2dInputGrad", "conv2dFilterGrad"):
        return convolution(kind, problem)
    return None


def matmul(problem):
    a, b = (array(x) for x in problem["inputs"])
    held = {}

    def run():
        held["y"] = mx.nd.dot(a, b)
        held["y"].wait_to_read()

    return run, mx.nd.waitall, lambda: encode(held["y"].asnumpy().tobytes(), held["y"].shape)


def convolution(kind, problem):
    attributes = problem["attributes"]
    top, bottom, left, right = attributes["padding"]
    if top != bottom or left != right:
        return None
    filters = problem["filter"]
    options = dict(kernel=tuple(filters[1:3]), stride=tuple(attributes["stride"]), pad=(top, left), num_filter=filters[0])
    held = {}
    if kind == "conv2d":
        x, w = (array(t, NCHW) for t in problem["inputs"][:2])
        bias = array(problem["inputs"][2])

        def run():
            y = mx.nd.Convolution(x, w, bias, no_bias=False, **options)
            held["y"] = mx.nd.Activation(y, act_type="relu") if attributes["activation"] == "relu" else y
            held["y"].wait_to_read()
    else:
        # The gradient of one input alone: the other has none attached.
        if kind == "conv2dInputGrad":
            dy, w = (array(t, NCHW) for t in problem["inputs"])
            x = mx.nd.zeros(tuple(problem["image"][i] for i in NCHW))
            wanted = x
        else:
            x, dy = (array(t, NCHW) for t in problem["inputs"])
            w = mx.nd.zeros(tuple(filters[i] for i in NCHW))
            wanted = w
        wanted.attach_grad()
        with mx.autograd.record():
            y = mx.nd.Convolution(x, w, no_bias=True, **options)

        def run():
            y.backward(dy, retain_graph=True)
            wanted.grad.wait_to_read()
            held["y"] = wanted.grad

    def result():
        y = np.ascontiguousarray(held["y"].asnumpy().transpose(0, 2, 3, 1))
        return encode(y.tobytes(), y.shape)

    return run, mx.nd.waitall, result


def step(problem):
    symbol = mx.sym.load_json(problem["symbol"])
    batch, side = problem["batch"], problem["side"]
    images = array(problem["images"], NCHW)
    labels = mx.nd.array(problem["labels"])
    module = mx.mod.Module(symbol, data_names=("data",), label_names=("softmax_label",), context=mx.cpu())
    module.bind([("data", (batch, 3, side, side))], [("softmax_label", (batch,))], for_training=True)
    module.init_params(
        arg_params={name: array(x) for name, x in problem["arguments"].items()},
        aux_params={name: array(x) for name, x in problem["auxiliary"].items()},
    )
    module.init_optimizer(kvstore=None, optimizer="sgd", optimizer_params={
        "learning_rate": problem["rate"], "momentum": problem["momentum"], "wd": 0.0, "rescale_grad": 1.0 / batch,
    })
    data = mx.io.DataBatch([images], [labels])
    rows = np.arange(batch), np.array(problem["labels"], np.int64)
    losses = []

    def run():
        module.forward_backward(data)
        module.update()
        probabilities = module.get_outputs()[0].asnumpy()
        losses.append(float(-np.log(probabilities[rows]).mean()))
        mx.nd.waitall()

    return run, mx.nd.waitall, lambda: {"losses": losses}


serve(hello, prepare)
