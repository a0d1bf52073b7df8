"""`python -m s2igan study NAME=value ...` runs the study; `python -m s2igan --help` lists all commands."""

from s2igan.workflow.environment import prepare

if __name__ == "__main__":
    prepare()
    from s2igan.workflow.commands import main
    from s2igan.workflow.interrupts import end_with
    from s2igan.workflow.streams import make_patient

    make_patient()
    end_with(main)
