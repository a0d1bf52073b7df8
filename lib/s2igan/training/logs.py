"""Progress of a training: a line of numbers every so many steps, printed and kept in log.jsonl."""

from __future__ import annotations

import json
import time
from pathlib import Path

from s2igan import BadInput
from s2igan.files import decoded, read_bytes, write_atomic, writing


class Log:
    """Appends a line of numbers to log.jsonl and prints it with the speed and the time left.

    A run that resumes from step `start` drops the lines after it, since those steps are done again.

        log = Log(run_dir / "log.jsonl", total=3000, batch=32, start=step)
        log(500, loss_g=1.23, loss_d=0.7)       # step 500/3000  loss_g 1.23  loss_d 0.7  142 img/s  ~3 min left
    """

    def __init__(self, path: str | Path, total: int, batch: int = 0, start: int = 0) -> None:
        self.path, self.total, self.batch = Path(path), total, batch
        write_atomic(
            self.path, "".join(json.dumps(record) + "\n" for record in read_log(self.path) if record["step"] <= start)
        )
        self._step, self._time = start, time.monotonic()

    def __call__(self, step: int, **values: float) -> None:
        """Log `values` of `step`, with the speed since the call before."""
        now = time.monotonic()
        steps_per_second = max(step - self._step, 0) / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        with writing(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{name: float(value) for name, value in values.items()}}) + "\n")
        parts = [f"step {step}/{self.total}", *(f"{name} {value:.4g}" for name, value in values.items())]
        if steps_per_second > 0:
            parts += [f"{steps_per_second * self.batch:.0f} img/s"] if self.batch else []
            parts += [f"~{duration((self.total - step) / steps_per_second)} left"] if step < self.total else []
        print("  ".join(parts), flush=True)


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The records of log.jsonl, but for a last line that was cut off. Raises BadInput for a damaged file."""
    records: list[dict[str, float]] = []
    if not Path(path).exists():
        return records
    lines = decoded(read_bytes(path).rstrip(b"\0"), path).split("\n")  # a power cut leaves zeros at the end
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):  # the line that a kill cut off, or nothing
                break
            record = None
        if not _is_record(record):
            raise BadInput(
                f"file {path}, line {number} is damaged: it must be a step and finite numbers by name; "
                "delete the file, or the run's folder to train again"
            )
        records.append(record)
    return records


def _is_record(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("step"), int):
        return False
    return all(type(number) in (int, float) and -1e300 < number < 1e300 for number in value.values())


def duration(seconds: float) -> str:
    """A length of time as people say it: '40 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
