"""Fusion: a stage's operations become one generated Python loop.

In come the operations and the end of a stage; out goes a `CompiledStage` that runs them over the rows of a
partition. The way there: `shape` decides how each function is used (`callee`): inlined where its source is proven
(`proof`, `module_source`, `admission`), as an operator (`native_operator`), or called. `loop_writer` writes the
loop, `stage_code` compiles it, `compiled_stage` binds it to the functions. Some stages over lines of text need no loop:
`column_kernel` recognises what the core does on Arrow columns. When it fails, `failure` and
`user_traceback` lead back to the user's line.
"""

from millstream.execution.fusion.compiled_stage import CompiledStage, compile_stage

__all__ = ["CompiledStage", "compile_stage"]
