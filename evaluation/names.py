"""Names of the measures that more than one room asks about; imports nothing, as DAG files need."""

CTR, L2R, PPP, FIFP = "ctr_auc", "l2r_auc", "ppp_precision", "fifp_auc"
HEADS = (CTR, L2R, PPP, FIFP)
"""One a head that a network learns by default: followed from night to night, asked with shuffled
inputs, and of heads that stay frozen on a champion's representation."""
JUDGED = (CTR, L2R, FIFP)
"""Of those, whose fall is an alert: PPP has too few questions a day to say anything."""
PROBE = "probe_category"
"""Of a linear probe that stands for heads of other teams."""
