"""From a trained candidate to the champion: evaluate, gate, canary, register, promote, check."""
