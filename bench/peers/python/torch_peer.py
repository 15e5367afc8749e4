"""
PyTorch, channels-last: convolution, its gradients, products, and training steps of a network given as MXNet's symbol JSON. Arguments: the
device, cpu or cuda; the precision, float32 (TF32 off), tf32 or bfloat16 (autocast; steps alone); and how steps run on cuda, eager or graph
(captured once, replayed).
"""
import ast
import copy
import json
import os
import sys

from lines import decode, encode, serve

import torch
import torch.nn.functional as F

device, precision, mode = (sys.argv[1:] + ["cpu", "float32", "eager"][len(sys.argv) - 1:])[:3]
threads = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(threads)
if device == "cuda":
    if not torch.cuda.is_available():
        sys.exit("torch.cuda.is_available() is false")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True


def finish():
    """The work is done when the clock stops."""
    if device == "cuda":
        torch.cuda.synchronize()


def tensor(given):
    values = torch.frombuffer(bytearray(decode(given)), dtype=torch.float32).reshape(given["shape"]).to(device)
    return values.to(getattr(torch, given.get("half") or "float32"))


def nchw(given):
    """NHWC in memory is NCHW channels-last: no copy."""
    return tensor(given).permute(0, 3, 1, 2)


def answer(y):
    y = y.detach().cpu()
    out = bytearray(y.numel() * 4)
    torch.frombuffer(out, dtype=torch.float32).copy_(y.reshape(-1))
    return encode(out, y.shape)


def hello():
    library = {"oneDNN": torch.backends.mkldnn.is_available()} if device == "cpu" else {
        "cuDNN": str(torch.backends.cudnn.version()), "gpu": torch.cuda.get_device_name()}
    return {"name": "PyTorch", "threads": threads, "versions": {
        "torch": torch.__version__, "layout": "channels-last", "precision": precision, **library}}


def prepare(problem):
    kind = problem["kind"]
    if kind == "step":
        return step(problem)
    if kind == "matmul":
        a, b = (tensor(x) for x in problem["inputs"])
        return timed(lambda: a @ b, lambda y: y)
    if kind in ("conv2d", "conv2dInputGrad", "conv2dFilterGrad"):
        return convolution(kind, problem)
    return None


def timed(compute, layout):
    held = {}

    def run():
        with torch.no_grad():
            held["y"] = compute()

    return run, finish, lambda: answer(layout(held["y"]))


def convolution(kind, problem):
    attributes = problem["attributes"]
    top, bottom, left, right = attributes["padding"]
    if top != bottom or left != right:
        return None
    stride, pad, dilation = attributes["stride"], [top, left], attributes["dilation"]
    nhwc = lambda y: y.permute(0, 2, 3, 1)
    if kind == "conv2d":
        x, w = (nchw(t) for t in problem["inputs"][:2])
        bias = tensor(problem["inputs"][2]).to(x.dtype)
        relu = attributes["activation"] == "relu"
        return timed(lambda: (F.relu_ if relu else lambda y: y)(F.conv2d(x, w, bias, stride, pad, dilation)), nhwc)
    if kind == "conv2dInputGrad":
        dy, w = (nchw(t) for t in problem["inputs"])
        n, h, wide, c = problem["image"]
        x = torch.zeros(n, h, wide, c, device=device, dtype=dy.dtype).permute(0, 3, 1, 2)
        mask, which = [True, False, False], 0
    else:
        x, dy = (nchw(t) for t in problem["inputs"])
        # Its gradient would be float16, ours is float32.
        if dy.dtype != torch.float32:
            return None
        w = torch.zeros(problem["filter"], device=device).permute(0, 3, 1, 2)
        mask, which = [False, True, False], 1
    backward = torch.ops.aten.convolution_backward
    return timed(lambda: backward(dy, x, w, None, stride, pad, dilation, False, [0, 0], 1, mask)[which], nhwc)


class Network(torch.nn.Module):
    """The operators of a symbol JSON in order; parameters by MXNet's names."""

    def __init__(self, symbol, arguments, auxiliary):
        super().__init__()
        self.nodes = json.loads(symbol)["nodes"]
        for name, given in arguments.items():
            self.register_parameter(name, torch.nn.Parameter(tensor(given).clone()))
        for name, given in auxiliary.items():
            self.register_buffer(name, tensor(given).clone())

    def forward(self, data):
        values = {}
        for i, node in enumerate(self.nodes):
            op, name = node["op"], node["name"]
            if op == "null":
                values[i] = data if name == "data" else getattr(self, name, None)
                continue
            inputs = [values[j[0]] for j in node["inputs"]]
            values[i] = OPERATORS[op](node.get("attrs", {}), *inputs)
        return values[len(self.nodes) - 1]


def pair(attributes, name, default):
    return list(ast.literal_eval(attributes[name])) if name in attributes else [default, default]


def convolve(a, x, w, bias=None):
    return F.conv2d(x, w, bias, pair(a, "stride", 1), pair(a, "pad", 0), pair(a, "dilate", 1), int(a.get("num_group", 1)))


def normalize(a, x, gamma, beta, mean, variance):
    return F.batch_norm(x, mean, variance, gamma, beta, True, 1 - float(a.get("momentum", 0.9)), float(a.get("eps", 1e-3)))


def pool(a, x):
    average = a.get("pool_type", "max") == "avg"
    if a.get("global_pool") in ("True", "1"):
        return x.mean((2, 3), keepdim=True) if average else x.amax((2, 3), keepdim=True)
    options = dict(stride=pair(a, "stride", 1), padding=pair(a, "pad", 0), ceil_mode=a.get("pooling_convention", "valid") == "full")
    return (F.avg_pool2d if average else F.max_pool2d)(x, pair(a, "kernel", 1), **options)


OPERATORS = {
    "Convolution": convolve, "BatchNorm": normalize, "Pooling": pool,
    "Activation": lambda a, x: {"relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[a["act_type"]](x),
    "Concat": lambda a, *x: torch.cat(x, int(a.get("dim", 1))),
    "Flatten": lambda a, x: torch.flatten(x, 1),
    "FullyConnected": lambda a, x, w, bias=None: F.linear(x, w, bias),
    "SoftmaxOutput": lambda a, x, *label: x,
}


def loss_of(model, images, labels):
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        return F.cross_entropy(model(images), labels)


def captured(network, images, labels, problem):
    """A step as a CUDA graph: as eager steps, but that the host queues one graph in place of some thousand kernels."""
    optimizer = torch.optim.SGD(network.parameters(), lr=problem["rate"], momentum=problem["momentum"], fused=True)
    # A step along gradients of zero makes the momentum and moves nothing.
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    def gradients():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network, images, labels)
        loss.backward()
        return loss

    # Capture wants what is made lazily to be there.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            gradients()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = gradients()
        optimizer.step()

    def run():
        graph.replay()
        return loss.detach().clone()

    return run


def step(problem):
    network = Network(problem["symbol"], problem["arguments"], problem["auxiliary"]).to(memory_format=torch.channels_last)
    images, labels = nchw(problem["images"]), torch.tensor(problem["labels"], device=device)
    losses = []
    read = lambda: {"losses": [loss.item() for loss in losses]}
    if mode == "graph":
        train = captured(network, images, labels, problem)
        return lambda: losses.append(train()), finish, read

    def trainer(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=problem["rate"], momentum=problem["momentum"], fused=True)

        def run():
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model, images, labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return run

    # The first steps of a process take several times as long, while memory is fetched page by page: a copy takes them.
    warm = trainer(copy.deepcopy(network))
    for _ in range(3):
        warm()
    train = trainer(network)

    return lambda: losses.append(train()), finish, read


serve(hello, prepare)
