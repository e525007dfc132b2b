"""The commands `coverslip privacy`: attack what leaves, plan it, certify a plan."""
