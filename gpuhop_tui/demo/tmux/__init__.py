"""As much of tmux as the demo's nodes need, in this very process: sessions whose programs are
simulated, listed, captured, watched in control mode and attached to as real ones are."""
