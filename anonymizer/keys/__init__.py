"""The keys of this appliance: made once, named, rotated where that is allowed."""
