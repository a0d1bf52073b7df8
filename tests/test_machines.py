"""Some numeric tests on the processors that this one can play; `make test-machines` runs all of them."""

import machines
import pytest

# One process of pytest a processor, since its start takes seconds.
SOME = ("test_training_steps.py", "test_training.py", "test_solutions.py", "test_losses_metrics.py")
CHOSEN = "(rdg_equals and bf16) or test_sen or matching or normalised or every_loss or discriminators"


@pytest.mark.parametrize("machine", ["AVX2 alone", "single precision"])
def test_numeric_tests_pass_on_another_processor(machine):
    assert machines.run(machine, *(str(machines.TESTS / name) for name in SOME), "-k", CHOSEN).returncode == 0


def test_files_of_numeric_tests_are_there():
    assert all((machines.TESTS / name).is_file() for name in (*machines.NUMERIC, *SOME))
