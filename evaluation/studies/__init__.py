"""Studies: questions that take many runs to answer, analysed apart from what runs them."""
