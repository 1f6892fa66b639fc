//! Long work beside short work that is waited for.

/// How many keys, of some 0.2 us each, are worked on before somebody else may go on.
const STEPS: usize = 512;

/// Let whoever waits for the processor go first, once in some hundred steps.
///
/// Where there are more threads than processors, the system lets one go on for milliseconds before one that has just
/// become ready gets its turn: that is as long as a whole batch takes. Who asks for it gets it at once, and costs
/// nothing where nobody waits.
#[inline]
pub fn let_others_go_first(step: usize) {
    if step % STEPS == STEPS - 1 {
        std::thread::yield_now();
    }
}
