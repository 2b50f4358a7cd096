# Home Assistant puts probatio in the place of voluptuous when it starts, so
# that is what `import voluptuous` gives, and what its own signatures expect.
from probatio import *
