# What every cell shares: the corpus, tokens and frozen features.


rule corpus:
    output:
        arguments=str(RUN.arguments),
        audit=str(RUN.audit),
        audit_table=str(RUN.audit.with_suffix(".md")),
        problems=str(RUN.arguments.with_name("problems.txt")),
    log:
        str(RUN.logs / "corpus.log"),
    conda:
        ENVIRONMENT
    params:
        source=corpus_arguments(CONFIG.corpus),
        splits=[f"{role}={folder}" for role, folder in CONFIG.corpus.splits],
        columns=columns_arguments(CONFIG.corpus),
        bad_files=CONFIG.corpus.bad_files,
        decontaminate=CONFIG.corpus.decontaminate,
        language=CONFIG.corpus.language,
        fingerprint=OPENED.corpus_fingerprint,
        version=CORPUS_VERSION,
        out=lambda wildcards, output: folder_of(output.arguments),
    shell:
        "logged {log:q} counterpoint corpus {params.source:q} --splits {params.splits:q}"
        " {params.columns:q} --bad-files {params.bad_files} --decontaminate {params.decontaminate}"
        " --language {params.language} --out {params.out:q}"


rule tokens:
    input:
        rules.corpus.output.arguments,
    output:
        str(RUN.tokens("{tokens}")),
    log:
        str(RUN.logs / "tokens" / "{tokens}.log"),
    # What most jobs wait for comes first; features want several cores, which are free now.
    priority: 40
    conda:
        ENVIRONMENT
    params:
        options=lambda wildcards: dump(shared_options(TOKENS[wildcards.tokens])),
        weights=lambda wildcards: encoder_fingerprint(TOKENS[wildcards.tokens]),
        version=FEATURES_VERSION,
    shell:
        "logged {log:q} counterpoint tokens --arguments {input:q} --options {params.options:q}"
        " --out {output:q}"


rule features:
    input:
        arguments=rules.corpus.output.arguments,
        tokens=lambda wildcards: tokens_of(FEATURES[wildcards.features]),
    output:
        str(RUN.features("{features}")),
    log:
        str(RUN.logs / "features" / "{features}.log"),
    priority: 30
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.encoding_threads
    resources:
        gpu=1,
        mem_mb=grown(CONFIG.resources.memory_mb),
        runtime=grown(CONFIG.resources.runtime_minutes),
        jobs_per_gpu=CONFIG.resources.jobs_per_gpu,
    params:
        options=lambda wildcards: dump(shared_options(FEATURES[wildcards.features])),
        weights=lambda wildcards: encoder_fingerprint(FEATURES[wildcards.features]),
        version=FEATURES_VERSION,
        threads=CONFIG.resources.encoding_threads,
    shell:
        "logged {log:q} counterpoint features --arguments {input.arguments:q} --tokens {input.tokens:q}"
        " --options {params.options:q} --threads {params.threads}"
        " --jobs-per-gpu {resources.jobs_per_gpu} --out {output:q}"
