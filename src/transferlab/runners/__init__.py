"""Runs studies: a study comes in; a plan, its finished cells in a store, and events for progress go out.

Runners decide where and when work is done, never how a number is computed: networks are trained by ``engine``, measured by
``transfer``, and compared by ``answers``.
"""
