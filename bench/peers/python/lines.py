"""
What the Python peers share: requests and answers, a line of JSON each, on stdin and stdout.

    {"call": "hello"}                      -> {"name": ..., "versions": {...}, "threads": n}
    {"call": "prepare", "problem": {...}}  -> {"able": true}, or {"able": false} for what the peer does not do
    {"call": "run", "times": n, "queued": m, "clock": c}  -> {"milliseconds": [...]} of one of m runs in a row, n times; by the GPU's
                                              clock where c is "gpu", which is an error for work that has none
    {"call": "result"}                     -> {"shape": [...], "data": base64 of float32} in NHWC, or {"losses": [...]}
    {"call": "drop"}                       -> {}

A failure is answered by {"error": "..."}. Arrays come as {"shape": [...], "data": base64 of float32}, images NHWC, filters KRSC;
with "half" their data is of that dtype.
"""
import base64
import json
import os
import sys
import time

# Libraries may print, some of them while they are imported: import this file ahead of them. What they say goes to stderr, answers alone to
# stdout.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def decode(array):
    return base64.b64decode(array["data"])


def encode(raw, shape):
    return {"shape": list(shape), "data": base64.b64encode(raw).decode("ascii")}


def by_host(work):
    def milliseconds(queued):
        start = time.perf_counter()
        for _ in range(queued):
            work[0]()
        work[1]()
        return (time.perf_counter() - start) * 1000

    return milliseconds


def serve(hello, prepare, dropped=lambda: None):
    """
    prepare(problem) gives (run, finish, result), functions without arguments, or None; run may return before the work is done, finish when it is.
    A fourth function, where there is one, gives milliseconds on the GPU of so many runs in a row.
    dropped() is called when a problem's work is gone.
    """
    work = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            call = request["call"]
            answer = {}
            if call == "hello":
                answer = hello()
            elif call == "prepare":
                work = prepare(request["problem"])
                answer = {"able": work is not None}
            elif call == "run":
                queued = request["queued"]
                measure = by_host(work) if request.get("clock", "host") == "host" else work[3]
                answer = {"milliseconds": [measure(queued) / queued for _ in range(request["times"])]}
            elif call == "result":
                answer = work[2]()
            elif call == "drop":
                work = None
                dropped()
        except Exception as error:  # told to the benchmark, which names the peer and the row
            answer = {"error": "%s: %s" % (type(error).__name__, str(error).split("\n")[0])}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
