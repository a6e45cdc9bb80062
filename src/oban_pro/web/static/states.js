// The states of jobs in the order in which they are shown, each with the sign that is shown in addition to its colour.

export const ICONS = {
  completed: "✓", skipped: "»", executing: "▶", retryable: "↻", available: "○", scheduled: "◷", suspended: "‖", cancelled: "⊘", discarded: "✕",
};
export const STATES = Object.keys(ICONS);
