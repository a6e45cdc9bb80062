// The states of jobs, in the order in which they are shown, and what stands for each beside its colour.

export const ICONS = {
  completed: "✓", skipped: "»", executing: "▶", retryable: "↻", available: "○", scheduled: "◷", suspended: "‖", cancelled: "⊘", discarded: "✕",
};
export const STATES = Object.keys(ICONS);
