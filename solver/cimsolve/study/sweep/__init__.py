"""Many questions at once: the points of a study, solved wherever there are cores, and none of them twice."""
