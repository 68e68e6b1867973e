# The matrix: corpus → tokens and features → cells and baselines → tables and plots.
#
#   snakemake --cores all                                      the sample corpus
#   snakemake --cores all --configfile config/arguana.yaml     the real one
#   snakemake tables                                           from whatever records exist
#
# Rule bodies are in workflow/rules/; every rule runs one `counterpoint` command.

from snakemake.utils import min_version

min_version("9.5")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/summary.smk"


rule all:
    default_target: True
    input:
        rules.summary.output,
        rules.curves.output,
        rules.page.output,
