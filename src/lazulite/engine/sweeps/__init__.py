"""Sweeps: draws trials, runs each as a job of its own, ends those that do badly, and says which is best.

A trial is a command job, run by the controller of jobs like any other. This room only makes trials and asks for their
end; it must not start a process. What a sweep knows lies in its job, its trials' jobs and their metrics.
"""
