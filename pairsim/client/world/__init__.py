"""The Python client of a world: all areas of a plane behind one object.

An entity crosses from area to area while a client talks about it. So a command may come to an area that its entity has
left: the area answers `moved`, and the client goes after the entity. The rules:

    A command stays with an area until the area has given a definite answer. To go elsewhere with an unknown outcome is
    how a command runs twice.
    Each area that a command goes to gets an attempt of its own, one more than that which was answered. An area that
    has answered an attempt never applies this one or an earlier one.
    Of two areas that show an entity, the one with the higher clock has it.
    Caches and queues are bounded, and every wait has a deadline.
"""
