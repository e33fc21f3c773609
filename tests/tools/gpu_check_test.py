"""tools/gpu-check, with programs and a GPU played to it."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "gpu-check"
PASSED = "[==========] 3 tests ran.\n[  PASSED  ] 3 tests.\n"
ALL_SKIPPED = "[  PASSED  ] 0 tests.\n[  SKIPPED ] 3 tests, listed below:\n"


def load():
    loader = importlib.machinery.SourceFileLoader("gpu_check", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_check", loader))
    loader.exec_module(module)
    return module


GPU_CHECK = load()


class GpuCheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.build, self.out, self.path = self.root / "build", self.root / "out", self.root / "path"
        self.program(self.path / "nvidia-smi", "echo 'NVIDIA H100 80GB HBM3, 580.1, 81559 MiB, 1980 MHz'")
        self.program(self.path / "compute-sanitizer", 'while [ "$1" != 99 ]; do shift; done; shift; exec "$@"')
        for name in [*GPU_CHECK.TESTS, GPU_CHECK.CONFORMANCE]:
            self.says(self.build / name, PASSED)
        self.bench("ceilings_bench", {"ceilings": [{"ceiling": "wgmma m64n256k16, both shared", "best": 812.4, "median": 800}]})
        self.bench("mixing_bench", {"mixing": []})
        self.bench("kernels_bench", {"kernels": []})

    def program(self, path, body):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def says(self, path, text, code=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(text)
        self.program(path, f"cat {path.with_suffix('.txt')}\nexit {code}")

    def bench(self, name, result):
        """A benchmark that shows its arguments and writes `result` where --json says."""
        text = json.dumps(result).replace("'", "")
        self.program(self.build / "bench/cuda" / name,
                     f'echo "given $*"\nwhile [ "$1" != --json ]; do shift; done\necho \'{text}\' > "$2"')

    def check(self, *words):
        environment = {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}
        return subprocess.run([sys.executable, SCRIPT, *words, "--no-build", "--build", self.build, "--out", self.out],
                              capture_output=True, text=True, env=environment)

    def report(self):
        files = sorted(self.out.iterdir())
        self.assertEqual([file.suffix for file in files], [".json", ".md"])
        return json.loads(files[0].read_text()), files[1].read_text()

    def test_everything_that_passes_stands_in_one_report(self):
        done = self.check("tests", "conformance", "sanitizer", "ceilings", "mixing", "kernels")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        results, text = self.report()
        self.assertEqual([row["outcome"] for row in results["outcomes"]], ["passed"] * 6)
        self.assertEqual([row["passed"] for row in results["tests"]], [3] * len(GPU_CHECK.TESTS))
        self.assertIn("NVIDIA H100 80GB HBM3", text)
        self.assertIn("--flops 812", text, "kernels are held against the ceiling of the same run")

    def test_a_failing_program_fails_its_part_and_not_the_others(self):
        self.says(self.build / GPU_CHECK.TESTS[0], "[  FAILED  ] Mixing.Works\n", 1)
        done = self.check("tests", "ceilings")
        self.assertEqual(done.returncode, 1)
        results, text = self.report()
        self.assertTrue(results["outcomes"][0]["outcome"].startswith("FAILED"))
        self.assertEqual(results["outcomes"][1]["outcome"], "passed")
        self.assertIn("Mixing.Works", text)

    def test_a_program_whose_tests_all_skip_has_not_passed(self):
        self.says(self.build / GPU_CHECK.CONFORMANCE, ALL_SKIPPED)
        self.assertEqual(self.check("conformance").returncode, 1)
        self.assertIn("nothing ran", self.report()[1])

    def test_what_was_not_built_is_skipped_by_name(self):
        (self.build / "bench/cuda/mixing_bench").unlink()
        self.assertEqual(self.check("mixing").returncode, 0)
        self.assertIn("was not built", self.report()[0]["outcomes"][0]["outcome"])

    def test_what_there_is_no_time_for_is_skipped_by_name(self):
        self.assertEqual(self.check("ceilings", "--minutes", "0.01").returncode, 0)
        self.assertEqual(self.report()[0]["outcomes"][0]["outcome"], "skipped: no time left")

    def test_a_step_is_held_against_the_best_variant(self):
        self.says(self.build / "bench/engine_bench", "img/s median 3000.0 best 3100.0\n")
        self.program(self.path / "torch-python",
                     'case "$*" in *torch.__version__*) echo 2.11;; *graphs*) echo "img/s median 2000.0";;'
                     ' *compile*) echo "no triton" >&2; exit 1;; *) echo "img/s median 1000.0";; esac')
        done = self.check("step", "--python", str(self.path / "torch-python"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        first = self.report()[0]["step"][0]
        self.assertEqual(first["ratio"], 1.5)
        self.assertEqual(first["pytorch"], {"eager": 1000, "channels-last": 1000, "graphs": 2000})
        self.assertIn("no triton", first["remarks"][0])

    def test_accuracy_below_the_least_fails(self):
        summary = {"test_accuracy_averaged_model": 0.5, "test_accuracy_mean": 0.5, "test_accuracy_worst": 0.4,
                   "consensus_distance": 0.1, "steps": 10, "seconds": 1, "images_per_second": 10}
        self.program(self.build / "alder", 'while [ "$1" != --out ]; do shift; done\nmkdir -p "$2"\n'
                                           f"echo '{json.dumps(summary)}' > \"$2/summary.json\"")
        self.assertEqual(self.check("accuracy", "--cifar10", "data").returncode, 1)
        self.assertIn("0.5000, below", self.report()[0]["outcomes"][0]["outcome"])

    def test_without_a_gpu_it_says_so_in_one_line(self):
        self.program(self.path / "nvidia-smi", "exit 9")
        done = self.check("ceilings")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nvidia-smi shows no GPU here", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_the_package_holds_programs_and_scripts(self):
        for name in [*GPU_CHECK.TESTS, GPU_CHECK.CONFORMANCE, *GPU_CHECK.BENCHES, "alder"]:
            (self.build / name).parent.mkdir(parents=True, exist_ok=True)
            (self.build / name).write_bytes(pathlib.Path("/bin/true").read_bytes())
        target = self.root / "gpu.tar.gz"
        done = self.check("pack", str(target))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with tarfile.open(target) as tar:
            names = tar.getnames()
        for name in ("build/release/alder", "build/release/bench/cuda/mixing_bench", "tools/gpu-check", "bench/pytorch_step.py"):
            self.assertIn(f"alder-gpu/{name}", names)

    def test_unknown_parts_are_refused_with_the_known_ones(self):
        done = self.check("ceiling")
        self.assertEqual(done.returncode, 2)
        self.assertIn("known: tests, conformance", done.stderr)


if __name__ == "__main__":
    unittest.main()
