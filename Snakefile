# The matrix: corpus → tokens and features → cells and baselines → tables and plots.
#
#   snakemake --cores all                                      the sample corpus
#   snakemake --cores all --configfile config/arguana.yaml     the real one
#   snakemake tables plots report                              from whatever records exist
#
# Rules are in workflow/rules/; each runs the `counterpoint` command of its name.

from snakemake.utils import min_version

min_version("9.5")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.summarise.output,
