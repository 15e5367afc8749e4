"""
PyTorch, channels-last: convolution, its gradients, products, and training steps of a network given as MXNet's symbol JSON. Arguments: the
device, cpu or cuda; the precision, float32 (TF32 off), tf32 or bfloat16 (autocast; steps alone); and how it runs: eager, graph (on cuda:
captured once, replayed) or compile (torch.compile at its best; steps alone).
"""
import ast
import gc
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
    dtype = getattr(torch, given.get("half") or "float32")
    return torch.frombuffer(bytearray(decode(given)), dtype=dtype).reshape(given["shape"]).to(device)


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
        if problem["attributes"]["transposeB"]:
            b = b.t()
        return timed(lambda: a @ b, lambda y: y)
    if kind in ("conv2d", "conv2dInputGrad", "conv2dFilterGrad"):
        return convolution(kind, problem)
    return None


def timed(compute, layout):
    held = {}
    call = replayed(compute) if mode == "graph" else compute
    in_row = {}

    def run():
        with torch.no_grad():
            held["y"] = call()

    def repeated(queued):
        """So many in a row: where there are graphs one graph of all, so that none waits for the host."""
        def each():
            for _ in range(queued):
                y = compute()
            return y

        if queued not in in_row:
            in_row[queued] = replayed(each) if mode == "graph" else each
        return in_row[queued]

    def milliseconds(queued):
        """On the GPU. As many go ahead, so that it is at work while the host hands it those that are timed."""
        work = repeated(queued)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.no_grad():
            work()
            begin.record()
            held["y"] = work()
            end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    return (run, finish, lambda: answer(layout(held["y"]))) + ((milliseconds,) if device == "cuda" else ())


def warmed(work):
    """Capture wants what is made lazily to be there: done some times on a stream beside."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)


def captured(work):
    """Work as a CUDA graph, and what it gives: the host queues one graph in place of a call through Python for each kernel."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()
    return graph, result


def replayed(compute):
    with torch.no_grad():
        warmed(compute)
        graph, y = captured(compute)

    def call():
        graph.replay()
        return y

    return call


# Looks at each of two ways, and runs in a row of each look.
LOOKS, IN_A_ROW = 3, 10


def quicker(work, other):
    """Of the same work by two ways, each as timed() gives it, that which takes less time on the GPU. The other may be none of this build, GPU or shape."""
    milliseconds = lambda one: one[3](IN_A_ROW)
    try:
        made = other()
        milliseconds(made)
    except (AttributeError, RuntimeError):
        return work
    # In turns, so that both meet the same clocks.
    looks = [[milliseconds(one) for one in (work, made)] for _ in range(LOOKS)]
    return made if min(look[1] for look in looks) < min(look[0] for look in looks) else work


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
        if attributes["activation"] != "relu":
            return timed(lambda: F.conv2d(x, w, bias, stride, pad, dilation), nhwc)
        work = timed(lambda: F.relu_(F.conv2d(x, w, bias, stride, pad, dilation)), nhwc)
        # cuDNN's own has bias and ReLU in its epilogue, as ours.
        fused = lambda: torch.cudnn_convolution_relu(x, w, bias, stride, pad, dilation, 1)
        return quicker(work, lambda: timed(fused, nhwc)) if device == "cuda" else work
    if kind == "conv2dInputGrad":
        dy, w = (nchw(t) for t in problem["inputs"])
        n, h, wide, c = problem["image"]
        x = torch.zeros(n, h, wide, c, device=device, dtype=dy.dtype).permute(0, 3, 1, 2)
        mask, which = [True, False, False], 0
    else:
        x, dy = (nchw(t) for t in problem["inputs"])
        # Of halves it is rounded to their dtype, ours is float32: the benchmark allows for that.
        w = torch.zeros(problem["filter"], device=device, dtype=dy.dtype).permute(0, 3, 1, 2)
        mask, which = [False, True, False], 1
    backward = torch.ops.aten.convolution_backward
    return timed(lambda: backward(dy, x, w, None, stride, pad, dilation, False, [0, 0], 1, mask)[which], nhwc)


class Network(torch.nn.Module):
    """The operators of a symbol JSON in order; parameters by MXNet's names."""

    def __init__(self, symbol, arguments, auxiliary):
        super().__init__()
        nodes = json.loads(symbol)["nodes"]
        for name, given in arguments.items():
            self.register_parameter(name, torch.nn.Parameter(tensor(given).clone()))
        for name, given in auxiliary.items():
            self.register_buffer(name, tensor(given).clone())
        # Attributes are read once: what compiles the network sees functions of tensors alone.
        self.leaves = [(i, node["name"]) for i, node in enumerate(nodes) if node["op"] == "null"]
        self.steps = [(i, OPERATORS[node["op"]](node.get("attrs", {})), [j[0] for j in node["inputs"]])
                      for i, node in enumerate(nodes) if node["op"] != "null"]

    def forward(self, data):
        values = {i: data if name == "data" else getattr(self, name, None) for i, name in self.leaves}
        for i, operator, inputs in self.steps:
            values[i] = operator(*[values[j] for j in inputs])
        return values[self.steps[-1][0]]


def pair(attributes, name, default):
    return list(ast.literal_eval(attributes[name])) if name in attributes else [default, default]


def convolve(a):
    options = pair(a, "stride", 1), pair(a, "pad", 0), pair(a, "dilate", 1), int(a.get("num_group", 1))
    return lambda x, w, bias=None: F.conv2d(x, w, bias, *options)


def normalize(a):
    momentum, eps = 1 - float(a.get("momentum", 0.9)), float(a.get("eps", 1e-3))
    return lambda x, gamma, beta, mean, variance: F.batch_norm(x, mean, variance, gamma, beta, True, momentum, eps)


def pool(a):
    average = a.get("pool_type", "max") == "avg"
    if a.get("global_pool") in ("True", "1"):
        return lambda x: x.mean((2, 3), keepdim=True) if average else x.amax((2, 3), keepdim=True)
    kernel = pair(a, "kernel", 1)
    options = dict(stride=pair(a, "stride", 1), padding=pair(a, "pad", 0), ceil_mode=a.get("pooling_convention", "valid") == "full")
    return lambda x: (F.avg_pool2d if average else F.max_pool2d)(x, kernel, **options)


def concatenate(a):
    dim = int(a.get("dim", 1))
    return lambda *x: torch.cat(x, dim)


# By name, functions of attributes that give functions of tensors.
OPERATORS = {
    "Convolution": convolve, "BatchNorm": normalize, "Pooling": pool, "Concat": concatenate,
    "Activation": lambda a: {"relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[a["act_type"]],
    "Flatten": lambda a: lambda x: torch.flatten(x, 1),
    "FullyConnected": lambda a: lambda x, w, bias=None: F.linear(x, w, bias),
    "SoftmaxOutput": lambda a: lambda x, *label: x,
}


def loss_of(model, images, labels):
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        return F.cross_entropy(model(images), labels)


def step(problem):
    network = Network(problem["symbol"], problem["arguments"], problem["auxiliary"]).to(memory_format=torch.channels_last)
    images, labels = nchw(problem["images"]), torch.tensor(problem["labels"], device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=problem["rate"], momentum=problem["momentum"], fused=True)
    loss_function = torch.compile(loss_of, mode="max-autotune") if mode == "compile" else loss_of

    def train():
        optimizer.zero_grad(set_to_none=True)
        if mode == "compile":
            torch.compiler.cudagraph_mark_step_begin()
        loss = loss_function(network, images, labels)
        loss.backward()
        optimizer.step()
        # A compiled function's next run writes where its last result lies.
        return loss.detach().clone()

    # The first steps of a process take several times as long, while memory is fetched page by page, algorithms are tried and code is compiled:
    # some that do not count, from which the network is set back.
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if mode == "graph":
        warmed(train)
        graph, loss = captured(train)
    else:
        for _ in range(3):
            train()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(before[name])
        # Momentum of zero is that of a first step.
        for state in optimizer.state.values():
            state["momentum_buffer"].zero_()
    del before
    losses = []

    def run():
        if mode == "graph":
            graph.replay()
            losses.append(loss.clone())
        else:
            losses.append(train())

    return run, finish, lambda: {"losses": [loss.item() for loss in losses]}


def dropped():
    """Other peers and ours use the same memory."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


serve(hello, prepare, dropped)
