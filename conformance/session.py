"""One run, hosted by pytest: the only module that knows pytest's hooks.

It plans before anything runs, opens a sink around each check, hands what happened to ``items``,
keeps the results in a ``Ledger`` and writes the report. Results travel in ``user_properties``,
which cross pytest-xdist's processes: its workers open the candidate and run the checks, its
controller plans, keeps and writes.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from conformance import (
    catalogue,
    counterexamples,
    evidence,
    fixtures,
    hermetic,
    identity,
    inputs,
    items,
    jobs,
    kept,
    preflight,
    proof,
    spec,
)
from conformance.diagnosis import diagnose
from conformance.errors import ConformanceError, SpecError, UsageError, fault_of_the_suite
from conformance.integrity import Watch
from conformance.interrupts import Interrupts
from conformance.items import ERROR, SINK, WATCH, case_id, requirement_of
from conformance.jobs import Others
from conformance.ledger import Ledger
from conformance.opened import presentable
from conformance.plan import plan
from conformance.progress import Progress
from conformance.records import CaseResult, Outcome, Report, Run
from conformance.report import json as record
from conformance.report import table
from conformance.run_folder import UNFINISHED, RunFolder
from conformance.selection import from_pytest
from conformance.subject import open_subject
from conformance.verdicts import EXIT_CODES, EXIT_SUITE_FAULT, outcome_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from conformance.jobs import Job
    from conformance.selection import Selection

_CASE = "llm-conformance"
_MODELS = "llm-conformance-models"
_SEED = "llm-conformance-seed"
_LAST_WORDS_S = 5.0
"""How long the other jobs of a run that is interrupted may take to end theirs."""
_LEFT_OUT = "it was deselected, not collected, or its process died"
_INTERRUPTED = "the run was interrupted"
_without_warnings = functools.partial(warnings.catch_warnings, action="ignore")
"""Made into errors, as users may have them, warnings would fail honest candidates."""


def register(config: pytest.Config) -> None:
    """Start a session in this pytest run.

    Raises:
        pytest.UsageError: the selection asks for what does not exist.
    """
    try:
        selection = from_pytest(config)
        seed = getattr(config, "workerinput", {}).get(_SEED, selection.seed)
        selection = dataclasses.replace(selection, seed=seed).seeded()
        job = jobs.parse(config.getoption("--llm-job"), selection.jobs)
        session = ConformanceSession(config, selection, job)
        plugins = {"llm-conformance-fixtures": fixtures, "llm-conformance-session": session}
        for name, plugin in plugins.items():
            if config.pluginmanager.register(plugin, name) is None:
                raise UsageError(f"`-p no:{name}` switches off what records the run; leave it out")
    except ConformanceError as error:
        _stop(error)


def _stop(error: ConformanceError) -> NoReturn:
    """End pytest before anything ran, with one line in the words of the command line."""
    if isinstance(error, SpecError):
        raise pytest.exit.Exception(fault_of_the_suite(error), returncode=EXIT_SUITE_FAULT)
    print(f"error: {error}", file=sys.stderr)  # noqa: T201  # pytest's own line begins otherwise
    raise pytest.UsageError  # pytest's code for it is ours: 4; it prints what this holds: nothing


class ConformanceSession:
    """Plans, runs and records one run."""

    ledger: Ledger

    def __init__(self, config: pytest.Config, selection: Selection, job: Job | None = None) -> None:
        self.config, self.selection, self.job = config, selection, job
        self.watch = config.stash[WATCH] = Watch()
        spread = hasattr(config, "workerinput")  # xdist's workers have one
        self.controller = not spread and (self.job is None or self.job.leads)
        self.logs = not spread  # xdist's workers leave that to their controller
        self.hermetic = hermetic.is_sealed(config.invocation_params.args, selection, self.job)
        self.folder = RunFolder(selection.folder, self.job.number if self.job else 1)
        self.others: Others | None = None
        if self.controller:
            self.folder.check()
        self.spec = spec.load()
        self.profile = spec.profile(self.spec, selection.profile_name)
        self.replayed = counterexamples.load(selection.replay) if selection.replay else None
        self.only = (self.replayed.requirement,) if self.replayed else selection.only
        self.faults: list[str] = []
        self.others_failed = self.died = False
        self.missing = _LEFT_OUT
        self.interrupts = Interrupts()
        self.started, self.clock = datetime.now(UTC), time.monotonic()
        self._open = ExitStack()

    # -- before ------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """Open the candidate, plan, and write the report of a run that has not finished."""
        if self.job is not None and not self.job.leads:
            self.job.wait_for_leader()
        home = self._open.enter_context(tempfile.TemporaryDirectory(prefix="llm-conformance-"))
        inputs.keep_files_in(home)
        try:
            with _without_warnings():
                opening = open_subject(self.selection, self.spec, self.profile)
                self.subject = self._open.enter_context(opening)
            claims, against = self.subject.claims()
            planned = plan(self.spec, self.profile, claims, self.only, against)
            case = self.replayed.case if self.replayed else ""
            ledger = Ledger(planned, self.subject.models, case)
            if self.controller:
                self.folder.retire()
        except ConformanceError as error:
            _stop(error)
        self.config.stash[fixtures.SUBJECT] = self.subject
        self.ledger = ledger
        if self.controller:
            self.folder.begin(self.report(UNFINISHED))
            for name, found in self.subject.preflights.items():
                print(preflight.told(name, found, self.subject.contract), file=sys.stderr)  # noqa: T201  # the same
            self.progress = Progress(list(ledger.expected), self.folder.earlier_durations())
        if self.job is not None and self.job.leads:
            self.others = Others(self.job, self.selection.jobs, self.folder.path, self._hear)
            self.job.begin()
        if self.logs:
            self._open.enter_context(self.interrupts.noted())
            if self.hermetic:  # elsewhere it is told as the user's pytest is set to
                self._open.enter_context(self.folder.crash_kept())

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each check that takes a model on every model of the profile."""
        ours = metafunc.definition.get_closest_marker("requirement") is not None
        if ours and "model" in metafunc.fixturenames:
            names = list(self.subject.models)
            metafunc.parametrize("model", names, indirect=True, scope="session")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the cases that the ledger expects, and whatever is not ours."""
        items[:] = [item for item in items if self._is_wanted(item)]

    def _is_wanted(self, item: pytest.Item) -> bool:
        identifier = requirement_of(item)
        if identifier is None:
            return True  # a test of the user's own, beside ours
        if identifier not in self.profile.requirements:
            return False
        items.check_fixtures(item)
        if case_id(item) not in self.ledger.expected:
            return False
        if self.replayed is not None:
            items.replay(item, self.replayed)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note check modules that cannot be imported: a fault of the suite."""
        modules = {f"{check.module}.py" for check in catalogue.all_checks()}
        if report.failed and report.nodeid.rpartition("/")[2] in modules:
            self.faults.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Note an error inside pytest or a plugin: the run is not what it looks like."""
        self.faults.append(str(excrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run what no other job has taken, where the run has several; then hear what they found."""
        if self.job is None or session.testsfailed:
            return None
        positions = {name: one.max_positions for name, one in self.subject.models.items()}
        costs = jobs.costs(self.folder.earlier_durations(), positions)
        for item, following in jobs.share(self.job, session.items, items.group_of, costs):
            self.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if self.others is not None:
            self.others.wait()
        return True

    # -- each check --------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note the beginning of a case before anything of it runs."""
        self.interrupts.check()
        identifier = requirement_of(item)
        if identifier is not None and self.logs:
            self.folder.case_began(case_id(item), identifier)
            if self.controller:
                self.progress.began(case_id(item))
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Seed the check and collect what it measures, whatever the user does with warnings."""
        if requirement_of(item) is None:
            return (yield)
        item.stash[ERROR] = None
        inputs.seed(item.obj, f"{self.selection.seed}/{case_id(item)}")  # type: ignore[attr-defined]
        with _without_warnings(), evidence.collect() as item.stash[SINK]:
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Remember what a check raised: other plugins may swallow it on its way."""
        try:
            return (yield)
        except BaseException as error:
            pyfuncitem.stash[ERROR] = error
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn what happened into a case's result, attached to pytest's own report."""
        report = yield
        self.interrupts.check()  # what the signal broke off must not read as the candidate's fault
        ours = requirement_of(item) is not None
        if ours and (call.when == "call" or call.excinfo is not None):
            case = items.result(item, call, self.selection, self.folder)
            report.user_properties.append((_CASE, record.case_document(case)))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the results, in the process that writes the report."""
        if not self.logs:
            return
        documents = [value for name, value in report.user_properties if name == _CASE]
        self.others_failed |= report.failed and not documents
        for document in documents:
            self._keep(record.parse_case(document))  # type: ignore[arg-type]
        if self.others is not None:
            self.others.listen()
        self.interrupts.check()  # pytest-xdist's controller comes here alone

    def _keep(self, case: CaseResult) -> None:
        if self.ledger.keep(case):
            self.folder.case_ended(case)
        if self.controller:
            self.progress.ended(case.id)

    def _hear(self, line: Mapping[str, Any]) -> None:
        """Take over what another job has logged."""
        if "began" in line:
            self.progress.began(line["began"])
        elif "ended" in line:
            self._keep(record.parse_case(line["ended"]))
        elif "learnt" in line:
            self.subject.learn(line["learnt"])
            self.faults += [fault for fault in line["faults"] if fault not in self.faults]

    def _hear_the_last(self, others: Others) -> None:
        """Take over what the other jobs have left, and note which of them has died."""
        others.wait(at_most=_LAST_WORDS_S)
        for how, case in others.deaths():
            print(f"error: {how}", file=sys.stderr)  # noqa: T201  # the reporter may be off
            self.died = True
            if case is not None:
                self._keep(case)

    # -- after -------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Let an xdist worker draw from the seed that the report will tell."""
        node.workerinput[_SEED] = self.selection.seed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what an xdist worker learnt of the models: noise units, files built."""
        self.subject.learn(getattr(node, "workeroutput", {}).get(_MODELS, []))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """Write the report, and let the exit code be the outcome's, whatever others make of it."""
        if not hasattr(self, "ledger"):
            return (yield)
        self._keep_answers()
        if not self.controller:
            self._tell()
            return (yield)
        if self.others is not None:
            self._hear_the_last(self.others)
        if exitstatus == pytest.ExitCode.INTERRUPTED or self.interrupts.seen:
            self.missing = _INTERRUPTED
        self.progress.close()
        if replaced := self.watch.replaced():
            print(f"error: {replaced}", file=sys.stderr)  # noqa: T201  # the reporter may be off
        self.final = self.report(self.missing)
        if self.final.outcome is Outcome.NONCONFORMANT and exitstatus != 2:
            found = diagnose(self.subject, self.final.requirements, self.folder.path)
            self.final = dataclasses.replace(self.final, diagnoses=found)
        code = self._exit_code(self.final.outcome)
        self.folder.finish(self.final)
        session.exitstatus = code
        try:
            return (yield)
        finally:
            session.exitstatus = code

    def _tell(self) -> None:
        """Leave what this process has learnt to the one that writes the report."""
        if self.job is None:
            self.config.workeroutput[_MODELS] = self.subject.learnt()  # type: ignore[attr-defined]
            return
        replaced = self.watch.replaced()
        self.folder.job_closed(
            self.subject.learnt(), [*self.faults, *([replaced] * bool(replaced))]
        )

    def _exit_code(self, outcome: Outcome) -> int:
        if outcome is Outcome.NONCONFORMANT:
            return EXIT_CODES[outcome]  # no fault of ours hides a failure of the candidate's
        if self.faults:
            print("\n".join(self.faults), file=sys.stderr)  # noqa: T201  # the reporter may be off
            return EXIT_SUITE_FAULT
        return EXIT_CODES[outcome] or int(self.others_failed)

    def _keep_answers(self) -> None:
        for subject in filter(None, (self.subject, self.subject.against)):
            for model in subject.models.values():
                answer = kept.keep(model, self.folder.path)
                model.kept = answer or model.__dict__.get("kept")  # another job's, where it has one

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the result table below pytest's own output."""
        if hasattr(self, "final"):
            terminalreporter.section("LLM conformance")
            terminalreporter.write(table.render(self.final))
            terminalreporter.write_line(self.folder.told())

    def pytest_unconfigure(self) -> None:
        """Close the candidate, when nothing can be asked of it any more."""
        self._open.close()

    def report(self, missing: str) -> Report:
        """Return the report as things stand; ``missing`` is why an expected case has no result."""
        results = self.ledger.requirements(missing)
        partial = bool(self.only)
        broken = bool(self.faults or self.watch.replaced()) or self.interrupts.seen or self.died
        return Report(
            suite=proof.quoted(),
            candidate=presentable(self.subject.info),
            contract=self.subject.contract,
            profile=self.profile.name,
            models=self.subject.model_records(),
            run=self._run(partial=partial),
            outcome=outcome_of(results, partial=partial or broken),
            requirements=results,
            environment=identity.environment() | {"threads": identity.threads()},
            against=self.subject.second(),
            includes=tuple(part.name for part in self.profile.includes),
        )

    def _run(self, *, partial: bool) -> Run:
        return Run(
            candidate=self.selection.candidate,
            argv=tuple(self.selection.options()),
            seed=self.selection.seed or 0,
            started=self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            duration=time.monotonic() - self.clock,
            hermetic=self.hermetic,
            isolated=self.selection.isolate,
            partial=partial,
        )
