"""Runs a sweep from its overrides to its report; what the command line and `bnbench.run` both stand on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bnbench.claims.claim_files import parse_claim
from bnbench.claims.history import claims_on, earlier_sweeps
from bnbench.config import Config, ConfigError, Until
from bnbench.config.workspace import Workspace
from bnbench.record.checkpoints import begun_packs
from bnbench.record.sweep_record import ClaimRecord
from bnbench.sweep.planning.arms import Arms
from bnbench.sweep.planning.compared_levels import check_comparison, describe_levels, settled, tunes_rates
from bnbench.sweep.planning.describe import describe_plan
from bnbench.sweep.planning.file_trials import missing_from, trials_of_file
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.new_record import new_record
from bnbench.sweep.planning.plan import DataLoader, Plan, make_plan
from bnbench.sweep.planning.remarks import own_remarks
from bnbench.sweep.planning.request import sweep_request
from bnbench.sweep.running.pack_widths import calibrated
from bnbench.sweep.running.place import describe_place
from bnbench.sweep.running.running_sweep import RunningSweep
from bnbench.sweep.running.time_limit import TimeLimit, TooLongError, least_seconds, train_seeds
from bnbench.tracking import NothingRecordedError

if TYPE_CHECKING:
    from bnbench.sweep.running.published import Sweep
    from bnbench.tracking import Store

_NOT_ABOUT_TRIALS = ("+sweep=", "sweep.size=", "sweep.parts=", "runs_dir=", "tracking.", "resume=", "plan_only=")
"""How the words begin that do not change the trials of a sweep's file."""


def run_sweep(
    hydra: HydraSweep,
    command_line: Sequence[str],
    *,
    say: Callable[[str], None] = print,
    command: Sequence[str] | None = None,
    most_seconds: float | None = None,
    slower: float = 1.0,
) -> Sweep | None:
    """Plan, train, record and report.

    Args:
        hydra: The composed configuration and the way to compose more.
        command_line: The overrides as typed.
        command: The command as it is recorded, of a verb that composes the overrides; None for the overrides.
        say: Where lines for the user go.
        most_seconds: How long it may take to the first answer; None for any time. A sweep of so many seeds trains
            as many as there is time for, two in any case.
        slower: How much slower than estimated this machine is found to be.

    Returns:
        The `Sweep`; None after `plan_only=true`.

    Raises:
        TooLongError: If it would probably take longer than `most_seconds`; before anything is trained.
        ConfigError: If anything is wrong with the configuration of any trial; before anything is written.
        SweepFailedError: If trials failed; after the report.
    """
    request = sweep_request(hydra, command_line, say)
    config, name, grid = request.config, request.name, request.grid
    workspace = Workspace.of(config)  # a wrong address is found before data are loaded
    claims = claims_on(name, hydra.conf_dirs)
    if place := describe_place(config):
        say(place)

    stores: list[Store] = []

    def finished() -> list[str]:
        from bnbench.tracking import Store

        try:
            if not stores:
                stores.append(Store.open(workspace, create=not config.plan_only))
        except NothingRecordedError:  # only planning, where nothing was ever run
            return []
        return list(stores[0].finished()) if config.resume else []

    data, workers = DataLoader(workspace.cache), hydra.workers
    begun = begun_packs(workspace.checkpoints) if config.resume else []

    def packed(plan: Plan) -> Plan:
        return plan.repacked({}, workers) if config.plan_only else calibrated(plan, workspace.cache, workers, say)

    plan = make_plan(request.points, data, finished, begun, partial(check_comparison, config, grid))
    config = settled(config, grid, plan.planned)
    caps = _caps(config, name, claims)
    record = new_record(config, name, plan, grid.axes, command_line if command is None else command, caps)
    say(describe_levels(config, grid, plan.planned))
    until_settled = None
    if record.asked.looks:
        from bnbench.sweep.running.until_settled import UntilSettled

        until_settled = UntilSettled(
            config.sweep,
            record.asked.looks,
            Arms(request.points, data),
            tunes_rates(config, grid, plan.planned),
            lambda points: packed(make_plan(points, data, finished, begun, part=True)),
        )
    judged_here = _judged_here(claims, hydra, config, plan, command_line)
    plan = until_settled.first if until_settled else packed(plan)
    remarks = own_remarks(plan)
    say(describe_plan(plan, grid.axes, min(workers, max(1, len(plan.packs))), remarks))
    if until_settled:
        say(until_settled.describe())
    if config.plan_only:
        return None
    if most_seconds is not None:
        seconds = until_settled.seconds_to_first_look(workers) if until_settled else least_seconds(plan, workers)
        if slower * seconds > most_seconds:
            raise TooLongError(slower * seconds)
    asked = replace(
        record.asked,
        notes=[*request.notes, *(f"{line}." for line in remarks)],
        claims=judged_here,
        earlier=earlier_sweeps(name, stores[0].sweeps()) if plan.finished else [],
    )
    with RunningSweep(hydra, config, replace(record, asked=asked), stores[0], say) as running:
        if until_settled:
            until_settled.train_first(running, say)
            until_settled.go_on(running, say)
        else:
            train_seeds(plan, running, TimeLimit(most_seconds, slower), say)
    return running.publish()


def _caps(config: Config, name: str, claims: Mapping[str, ClaimRecord]) -> list[int]:
    """The most seeds of each claim that is judged on the sweep.

    Raises:
        ConfigError: If there is none, and the sweep is to go on until its claims are settled.
    """
    if config.sweep.until == Until.claims and not claims:
        raise ConfigError(f"sweep.until=claims needs a claim that is judged on {name}, and none of conf/claim is")
    return [parse_claim(id, claim.text, f"claim {id}").max_seeds for id, claim in claims.items()]


def _judged_here(
    claims: Mapping[str, ClaimRecord], hydra: HydraSweep, config: Config, plan: Plan, command_line: Sequence[str]
) -> dict[str, ClaimRecord]:
    """The claims with how many trials of their sweep's file are `left_out` here: one is judged only where none is.

    A sweep that goes on until its contrasts are settled judges none: it adds seeds where those are open, and a claim
    needs them elsewhere.
    """
    if config.sweep.until == Until.settled:
        return {}
    left_out: dict[str, int] = Counter()
    as_in_file = all(word.startswith(_NOT_ABOUT_TRIALS) for word in command_line)
    for sweep in {claim.text["sweep"] for claim in claims.values()} if not as_in_file else ():
        words = [f"+sweep={sweep}", f"sweep.size={config.sweep.size}"]
        file = trials_of_file(hydra.typed_instead(words), words)
        left_out[sweep] = missing_from(file, (p.trial for p in plan.planned))
    return {id: replace(claim, left_out=left_out[claim.text["sweep"]]) for id, claim in claims.items()}
