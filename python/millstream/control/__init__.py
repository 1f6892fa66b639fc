"""Control: facts come in, instructions go out, and between them every decision about batches is made.

The machine (`machine.Machine`) is pure: it has no clock, no threads, no I/O and no chance, so the same facts
always give the same instructions. Whoever drives it tells it what happened (`facts`) and does what it says
(`instructions`); what must survive the process is written to the journal as decisions (`recovery`).

One batch, the facts on the left and what the machine answers on the right:

    BlockStored       nothing; the block waits for the next batch
    BatchDue          PlanBatch        which blocks, from which time on
    BatchPlanned      RunBatch         which outputs are staged
    BatchPrepared     CommitOutput     the first output
    OutputCommitted   CommitOutput     the next one, or FinishBatch after the last
    BatchFinished     PlanBatch        when another batch time is due already

Each concern has a file: `batches` (one batch from plan to end), `grid` (batch times), `admission` (which of them
are due, and when inputs are held), `unplanned_blocks` (what no batch has yet), `receivers` (restarts), `retries`
(how often and after which pause), `failure` (what may pass and what may not); stopping is in `machine`.
"""
