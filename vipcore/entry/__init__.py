"""One file per thing that can be asked, by HTTP or by the clock."""
