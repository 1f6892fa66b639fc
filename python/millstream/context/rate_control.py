"""The rate controllers of a program."""

from __future__ import annotations

from typing import Literal, TypeAlias

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.graph.graph import Graph
from millstream.model.ports.rate_controller import RateController, RateControllerFactory

RateControllers: TypeAlias = Literal["pid", "none"] | RateControllerFactory
"""Which controller each input gets: the one that comes with millstream, none, or what a function makes of its name."""


def rate_controllers_checked(choice: RateControllers) -> RateControllers:
    """Give the argument back if it names a controller or can make one.

    Raises:
        ConfigurationError: there is no controller of that name.
        ArgumentTypeError: it is neither a name nor a function.
    """
    if isinstance(choice, str):
        if choice not in ("pid", "none"):
            raise ConfigurationError(
                "There is no rate controller of that name.",
                detail=f"rate_controller={shown(choice)}.",
                hint='Give "pid", "none", or a function that makes a millstream.RateController of an input\'s name.',
            )
    elif isinstance(choice, RateController) or not callable(choice):
        raise ArgumentTypeError(
            "rate_controller needs a name, or a function that makes a controller.",
            detail=f"rate_controller={shown(choice)}.",
            hint="Each input needs a controller of its own: give its class, or a function of the input's name.",
        )
    return choice


def controllers_of(choice: RateControllers, graph: Graph) -> dict[str, RateController]:
    """Make the controllers of the inputs that can be limited, by name.

    Raises:
        ArgumentTypeError: the function made something else.
    """
    names = [node.name for node in graph.inputs if node.rate_control != "never"]
    if choice == "none":
        return {}
    if isinstance(choice, str):
        from millstream.control.rate.pid_rate_controller import PidRateController

        return {name: PidRateController(name) for name in names}
    controllers = {name: choice(name) for name in names}
    for name, controller in controllers.items():
        if not isinstance(controller, RateController):
            raise ArgumentTypeError(
                "rate_controller made something that is no controller.",
                detail=f"It gave {shown(controller)} for the input {name}.",
                hint="Return an instance of a subclass of millstream.RateController.",
            )
    return controllers
