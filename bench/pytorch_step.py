#!/usr/bin/env python3
"""Whole training steps of Alder's networks in PyTorch: the peer of engine_bench, with the same line as output.

CPU: channels_last tensors, SGD with momentum; fp32, or bf16 by autocast. GPU (--device cuda), by --variant:

    eager           as the CPU, contiguous tensors
    channels-last   channels_last tensors and autocast, cuDNN choosing its algorithms by trial
    graphs          the same, the whole step replayed as one CUDA graph
    compile         torch.compile(mode="max-autotune-no-cudagraphs") of the model, the step as one CUDA graph

--workers N (GPU): N models of their own in this process, each step of each on its own stream, as one process that
shares the device would do it. Images a second are those of all workers.
"""
import argparse
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as functional

sys.path.insert(0, str(Path(__file__).parent.parent / "tools" / "lib"))
from pytorch_networks import make_network  # noqa: E402

VARIANTS = ("eager", "channels-last", "graphs", "compile")


class Trainer:
    """One replica; `step` is a whole training step on a batch that is already on the device."""

    def __init__(self, options):
        layout = torch.contiguous_format if options.variant == "eager" else torch.channels_last
        self.device, self.bf16 = options.device, options.precision == "bf16"
        model = make_network(options.model).to(options.device, memory_format=layout).train()
        cuda = options.device == "cuda"
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, **({"fused": True} if cuda else {}))
        self.model = torch.compile(model, mode="max-autotune-no-cudagraphs") if options.variant == "compile" else model
        self.images = torch.randn(options.batch, 3, 32, 32).to(options.device, memory_format=layout)
        self.labels = (torch.arange(options.batch) % 10).to(options.device)
        self.stream = torch.cuda.Stream() if cuda else None
        self.graph = None
        if cuda and options.variant in ("graphs", "compile"):
            self.capture()

    def step(self):
        self.optimizer.zero_grad(set_to_none=self.graph is None)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16):
            loss = functional.cross_entropy(self.model(self.images).float(), self.labels)
        loss.backward()
        self.optimizer.step()

    def capture(self):
        with torch.cuda.stream(self.stream):
            for _ in range(5):
                self.step()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph, stream=self.stream):
                self.step()
        self.graph = graph

    def launch(self):
        """Puts a step on the worker's stream."""
        with torch.cuda.stream(self.stream):
            if self.graph is None:
                self.step()
            else:
                self.graph.replay()


def time_on_cpu(options):
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    clock = time.process_time if options.clock == "cpu" else time.monotonic
    trainer.step()
    trainer.step()
    times, begin = [], clock()
    while len(times) < 3 or clock() - begin < options.seconds:
        start = clock()
        trainer.step()
        times.append(clock() - start)
    return sorted(times)


def time_on_gpu(options):
    """Seconds of a step of all workers: steps are queued in blocks, the device is waited for after each."""
    torch.backends.cudnn.benchmark = True
    trainers = [Trainer(options) for _ in range(options.workers)]

    def block(steps):
        torch.cuda.synchronize()
        start = time.monotonic()
        for _ in range(steps):
            for trainer in trainers:
                trainer.launch()
        torch.cuda.synchronize()
        return (time.monotonic() - start) / steps

    block(3)
    steps = max(3, int(0.1 / block(3)))
    times, begin = [], time.monotonic()
    while len(times) < 3 or time.monotonic() - begin < options.seconds:
        times.append(block(steps))
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet-20", help="one of Alder's names")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variant", choices=VARIANTS, default="channels-last")
    parser.add_argument("--threads", type=int, default=1, help="CPU only")
    parser.add_argument("--workers", type=int, default=1, help="GPU only: replicas that share the device")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    if options.device == "cpu" and (options.variant != "channels-last" or options.workers != 1):
        parser.error("on the CPU there is one variant, channels-last, and one worker")
    torch.manual_seed(1)
    times = time_on_cpu(options) if options.device == "cpu" else time_on_gpu(options)
    pictures = options.batch * options.workers
    where = f"threads {options.threads}" if options.device == "cpu" else f"workers {options.workers} {options.variant}"
    print(
        f"PyTorch {torch.__version__} {options.model} batch {options.batch} {where}"
        f" {options.precision} img/s median {pictures / times[len(times) // 2]:.1f}"
        f" best {pictures / times[0]:.1f}"
    )


if __name__ == "__main__":
    main()
