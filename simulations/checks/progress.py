"""What begins must end."""

from __future__ import annotations

from simulations.checks.checker import Checker
from simulations.checks.world_view import WorldView


class NoForgottenTasks(Checker):
    """A node that stopped has left no task behind."""

    name = "no_forgotten_tasks"
    blind_to = "tasks that a running node has lost sight of"

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node} is down and left {len(tasks)} tasks: {', '.join(tasks[:3])}"
            for node, tasks in world.leftovers().items()
            if tasks
        ]


class OperationsEnd(Checker):
    """Every operation ends, well or not, before its deadline."""

    name = "progress"
    blind_to = "how well operations end"

    def check(self, world: WorldView) -> list[str]:
        return [
            f"{running.what}, started at {running.started_s:.3f} s, should have ended by "
            f"{running.deadline_s:.3f} s; {running.where()}"
            for running in world.journal.running.values()
            if running.overdue(world.now_s)
        ] + [f"{ended.what} ended after {ended.deadline_s:.3f} s" for ended in world.journal.late]
