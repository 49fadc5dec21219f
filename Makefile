# Everything a user, a developer and CI run. `make` alone lists the targets.

export MCQ_CACHE ?= $(HOME)/.cache/mcq-operator
export UV_CACHE_DIR := $(MCQ_CACHE)/uv/cache
PYTHON := .venv/bin/python
STEP := hack/step
CLUSTER_TOOL := hack/cluster/cluster

# The suites of `make test` and of `make test-all`; SUITES picks others. REPORTS=build/reports keeps JUnit files and
# coverage for a CI server. SLOW=1 adds the tests that are marked slow.
MAIN_SUITES = prepare check test-service test-page test-operator test-monitoring test-pipeline test-cluster
ALL_SUITES = $(MAIN_SUITES) test-adversary test-rollouts test-nodes test-autoscaling test-teardown chaos
REPORTS ?=
export SLOW ?=
JUNIT ?= $(REPORTS)
PYTEST = .venv/bin/pytest -q $(if $(SLOW),,-m "not slow") $(if $(JUNIT),--junitxml=$(JUNIT)/$@.xml)
COVERAGE = $(if $(REPORTS),--cov --cov-report=)
export COVERAGE_FILE = $(REPORTS)/coverage/data.$@

# How many tests of the service and of the operator run at once.
WORKERS ?= 2

# Where `make serve` listens.
HOST ?= 127.0.0.1
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help demo test check format serve up down kubeconfig images image-operator image-service deploy monitoring model \
	sbom push sign install verify rollback diagnostics installer chart release pipeline generate lock bench bench-operator clean \
	test-all prepare compose compose-down test-service test-page test-operator test-adversary test-monitoring test-pipeline test-cluster test-rollouts \
	test-nodes test-autoscaling test-teardown chaos

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- what the README promises ---

demo: .venv/.ready ## from a fresh machine to an answered question, through an Ingress of a real Kubernetes [MONITORING=1]
	@$(PYTHON) -m hack.demo

test: .venv/.ready ## the main path of every part: lint, types, layers, all programs, a cluster [SUITES=] [REPORTS=DIR]
	@$(if $(REPORTS),rm -rf $(REPORTS))
	@$(PYTHON) -m hack.suites $(or $(SUITES),$(MAIN_SUITES))
	@$(if $(REPORTS),.venv/bin/coverage combine --quiet $(REPORTS)/coverage/data.*)
	@$(if $(REPORTS),.venv/bin/coverage xml -q -o $(REPORTS)/coverage/coverage.xml)

test-all: .venv/.ready ## every test there is: more clusters, nodes, roll-outs, faults; hours [SUITES=] [REPORTS=DIR]
	@$(if $(REPORTS),rm -rf $(REPORTS))
	@SLOW=1 $(PYTHON) -m hack.suites $(or $(SUITES),$(ALL_SUITES))
	@$(if $(REPORTS),.venv/bin/coverage combine --quiet $(REPORTS)/coverage/data.*)
	@$(if $(REPORTS),.venv/bin/coverage xml -q -o $(REPORTS)/coverage/coverage.xml)

prepare: .venv/.ready ## fetch and build what the tests need, with progress
	@$(PYTHON) -m hack.prepare $(if $(SLOW),--all)

serve: .venv/.ready ## answer questions on http://HOST:PORT with no cluster (127.0.0.1:8000)
	@hack/model >/dev/null
	@MCQ_HOST=$(HOST) MCQ_PORT=$(PORT) MCQ_MODEL_CACHE=$(MCQ_CACHE)/models exec $(PYTHON) -m mcq_service

# --- the local cluster ---

up: .venv/.ready ## start a local Kubernetes by kind [NODES=1] [KUBERNETES=1.34]; CLUSTER=current only checks that one answers
	@$(CLUSTER_TOOL) up

down: .venv/.ready ## stop it and leave nothing behind but the cache
	@$(CLUSTER_TOOL) down

kubeconfig: .venv/.ready ## print the path of the local cluster's kubeconfig
	@$(CLUSTER_TOOL) kubeconfig

images: .venv/.ready ## build the operator's and the service's image; image-operator, image-service: one of them [PLATFORMS=]
	@$(PYTHON) -m hack.images

image-operator image-service: .venv/.ready
	@$(PYTHON) -m hack.images $(@:image-%=%)

monitoring: .venv/.ready ## after demo or deploy: Prometheus, Alertmanager, Jaeger and Grafana watch over the operator and its solvers
	@$(PYTHON) -m hack.monitoring

compose: .venv/.ready ## run compose.yaml with images that are built here where they can't be pulled
	@$(PYTHON) -m hack.compose up

compose-down: .venv/.ready ## stop it, and the Docker engine if it was started for it; the volumes stay
	@$(PYTHON) -m hack.compose down

deploy: .venv/.ready ## cluster, images and operator, without a solver
	@$(PYTHON) -m hack.deploy

model: .venv/.ready ## fetch, verify and convert the model's weights into the cache
	@hack/model

# --- delivery: the stages of the Jenkinsfile; CLUSTER=current is kubectl's current context ---

sbom: .venv/.ready ## what the images are made of, as CycloneDX: dist/*.cdx.json
	@$(PYTHON) -m hack.images.sbom

push: .venv/.ready ## push the images and keep their digests in dist/images.json: REGISTRY=HOST/PATH [TAG=]
	@$(PYTHON) -m hack.delivery push

sign: .venv/.ready ## sign the pushed images by cosign, and verify them: COSIGN_KEY=FILE [COSIGN_PASSWORD=]
	@$(PYTHON) -m hack.delivery sign

install: .venv/.ready ## CRDs, the pushed operator by digest, a solver: [ENVIRONMENT=dev|production] [SOLVER=FILE]
	@$(PYTHON) -m hack.delivery install

verify: .venv/.ready ## what was installed runs, answers, and is watched: [MONITORING=1] [INGRESS_URL=]
	@$(PYTHON) -m hack.delivery verify

rollback: .venv/.ready ## back to what was there before the last install
	@$(PYTHON) -m hack.delivery rollback

diagnostics: .venv/.ready ## logs, events and objects of the deployment: build/diagnostics
	@$(PYTHON) -m hack.delivery diagnostics

installer: .venv/.ready ## all that kubectl apply needs, with the pushed images by digest: dist/install.yaml
	@$(PYTHON) -m hack.delivery installer

chart: .venv/.ready ## the same as a Helm chart: dist/chart
	@$(PYTHON) -m hack.delivery chart

release: .venv/.ready ## tag and publish: VERSION=x.y.z REGISTRY=HOST/PATH; dist/x.y.z has what goes with it
	@$(PYTHON) -m hack.release

pipeline: .venv/.ready ## run the whole Jenkinsfile without Jenkins, into the local cluster
	@$(PYTHON) -m hack.pipeline

# --- development ---

check: .venv/.ready ## lint, format, types, layers, generated files
	@$(STEP) "Lint (ruff)" .venv/bin/ruff check .
	@$(STEP) "Format (ruff)" .venv/bin/ruff format --check .
	@$(STEP) "Types (mypy --strict)" .venv/bin/mypy
	@$(STEP) "Layers (import-linter)" .venv/bin/lint-imports
	@$(STEP) "Jenkinsfile (npm-groovy-lint)" hack/lint-groovy
	@$(STEP) "Generated files (CRDs, RBAC)" hack/generate --check

test-service: .venv/.ready ## the service and its exams: their parts, and the real model behind a real server
	@$(STEP) "Weights" hack/model >/dev/null
	@$(STEP) "Service tests" $(PYTEST) $(COVERAGE) -n $(WORKERS) --dist loadfile tests/service tests/eval

test-page: .venv/.ready ## the web page, in a real browser
	@$(STEP) "Weights" hack/model >/dev/null
	@$(STEP) "Page tests" $(PYTEST) tests/page

test-operator: .venv/.ready ## the operator: its pure parts, and reconciles against a real API server
	@$(STEP) "Operator tests" $(PYTEST) $(COVERAGE) -n $(WORKERS) --dist loadgroup tests/operator \
		$(if $(SLOW),--ignore tests/operator/adversary)

test-adversary: .venv/.ready ## what a tenant tries who may only write solvers and exams, as a table; a short form is in test-operator
	@$(STEP) "Tenants" .venv/bin/pytest -q $(if $(JUNIT),--junitxml=$(JUNIT)/$@.xml) tests/operator/adversary

test-monitoring: .venv/.ready ## alerts by the real promtool; with SLOW=1 the services of compose.yaml, run by Docker Compose
	@$(STEP) "Monitoring tests" $(PYTEST) tests/monitoring

test-pipeline: .venv/.ready ## the delivery's stages, the Jenkinsfile's interpreter, the local cluster's tool
	@$(STEP) "Pipeline tests" $(PYTEST) -n 2 tests/pipeline

test-cluster: .venv/.ready ## a cluster: install, answer through the Ingress, repair, delete; with SLOW=1 also exams, storage, pipeline, monitoring
	@$(STEP) "Cluster tests" hack/with-cluster $(PYTEST) tests/cluster \
		$(foreach part,autoscaling nodes rollouts teardown,--ignore tests/cluster/$(part))

test-rollouts: .venv/.ready ## roll-outs under load: no request is lost
	@$(STEP) "Roll-out tests" hack/with-cluster $(PYTEST) tests/cluster/rollouts

test-nodes: .venv/.ready ## three nodes: drains, taints, a node that stops, volumes of one node
	@NODES=3 $(STEP) "Node tests" hack/with-cluster $(PYTEST) tests/cluster/nodes

test-autoscaling: .venv/.ready ## KEDA and prometheus-adapter add and remove replicas
	@$(STEP) "Autoscaling tests" hack/with-cluster $(PYTEST) tests/cluster/autoscaling

test-teardown: .venv/.ready ## what `make down` leaves on the machine: nothing; only where no cluster is up
	@$(STEP) "Teardown tests" $(PYTEST) tests/cluster/teardown

chaos: .venv/.ready ## the fault campaign: each fault at each point of a solver's life, about an hour (CHAOS="--fault kill-seen")
	@$(PYTHON) -m hack.chaos $(CHAOS)

format: .venv/.ready ## format the code and fix what ruff can fix
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

generate: .venv/.ready ## write crds/ and config/rbac/ from the models
	@hack/generate

lock: ## lock the dependencies anew (pyproject.toml -> requirements.lock)
	@hack/lock

bench: .venv/.ready ## measure seconds a question in one run: EXAM=FILE.jsonl [RUNS=3] [PEERS=DIR GGUF=FILE]
	@test -n "$(EXAM)" || { echo "make bench EXAM=FILE.jsonl: the questions to ask; see docs/benchmarks.md" >&2; exit 2; }
	@$(PYTHON) -m hack.bench --exam $(EXAM) --runs $(or $(RUNS),1) $(if $(PEERS),--peers $(PEERS) --gguf $(GGUF))

bench-operator: .venv/.ready ## measure the operator with many solvers against a control plane of its own: [SOLVERS=1000] [RUNS=1]
	@$(PYTHON) -m hack.bench_operator --solvers $(or $(SOLVERS),1000) --runs $(or $(RUNS),1)

clean: ## remove what was made in the checkout (the cache, $MCQ_CACHE, stays)
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements.lock operator/pyproject.toml service/pyproject.toml service/hatch_build.py $(wildcard service/native/*)
	@$(STEP) "Python environment (.venv)" hack/venv
