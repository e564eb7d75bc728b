# The student's cell ends the kernel's connection to the referee.
# expect: fix=0 safe=0
# %% solution="fix"
lab._channel.close()
