"""Cards and notices, for people and for programs: model, data, bill of materials, Croissant."""
