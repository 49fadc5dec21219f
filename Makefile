# The commands of users, developers and CI. `make` alone lists the targets.

export MCQ_CACHE ?= $(HOME)/.cache/mcq-operator
export UV_CACHE_DIR := $(MCQ_CACHE)/uv/cache
# Some machines set this. Then each of the tests' many processes compiles every module again: 1.5 s of CPU.
unexport PYTHONDONTWRITEBYTECODE
PYTHON := .venv/bin/python
STEP := hack/step
CLUSTER_TOOL := hack/cluster/cluster

# The suites of `make test` and of `make test-all`; SUITES picks others. REPORTS=build/reports keeps JUnit files and
# coverage for a CI server. SLOW=1 adds the tests that are marked slow.
MAIN_SUITES = prepare check test-service test-page test-operator test-monitoring test-pipeline test-cluster
ALL_SUITES = $(MAIN_SUITES) test-adversary test-rollouts test-nodes test-ipv6 test-dual-stack test-autoscaling \
	test-teardown chaos
REPORTS ?=
export SLOW ?=
override SLOW := $(filter-out 0 false no,$(SLOW))
JUNIT ?= $(REPORTS)
PYTEST = .venv/bin/pytest -q $(if $(SLOW),,-m "not slow") $(if $(JUNIT),--junitxml="$(JUNIT)/$@.xml")
COVERAGE = $(if $(REPORTS),--cov --cov-report=)
export COVERAGE_FILE = $(REPORTS)/coverage/data.$@

# How many tests of the service and of the operator run at once.
WORKERS ?= 2

# Where `make serve` listens.
HOST ?= 127.0.0.1
PORT ?= 8000

# Runs suites, by default $(1), with the variables $(2), and joins what they measured, if any did.
define run-suites
@$(if $(REPORTS),rm -rf "$(REPORTS)")
@$(2) $(PYTHON) -m hack.suites $(or $(SUITES),$(1))
@$(if $(REPORTS),set -- "$(REPORTS)"/coverage/data.*; test ! -e "$$1" || { .venv/bin/coverage combine --quiet "$$@" \
	&& .venv/bin/coverage xml -q -o "$(REPORTS)/coverage/coverage.xml"; })
endef

.DEFAULT_GOAL := help
.PHONY: help demo test check format serve up down kubeconfig images image-operator image-service image-service-torch deploy monitoring model \
	parameters sbom scan push sign install verify rollback diagnostics installer chart release pipeline generate lock bench bench-operator clean \
	test-all prepare compose compose-down test-service test-page test-operator test-adversary test-monitoring test-pipeline test-cluster test-rollouts \
	test-nodes test-ipv6 test-dual-stack test-autoscaling test-teardown chaos pictures

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the README's commands ---

demo: .venv/.ready ## go from a fresh machine to an answered question, through the Ingress of a real Kubernetes [MONITORING=1]
	@$(PYTHON) -m hack.demo

test: .venv/.ready ## test the main path of every part: lint, types, layers, all programs, a cluster [SUITES=] [REPORTS=DIR]
	$(call run-suites,$(MAIN_SUITES))

test-all: .venv/.ready ## run every test: more clusters, nodes, roll-outs, faults; hours [SUITES=] [REPORTS=DIR]
	$(call run-suites,$(ALL_SUITES),SLOW=1)

prepare: .venv/.ready ## fetch and build the tests' dependencies
	@$(PYTHON) -m hack.prepare $(if $(SLOW),--all)

serve: .venv/.ready ## answer questions on http://HOST:PORT without a cluster (127.0.0.1:8000)
	@hack/model >/dev/null
	@MCQ_HOST=$(HOST) MCQ_PORT=$(PORT) MCQ_MODEL_CACHE="$(MCQ_CACHE)/models" exec $(PYTHON) -m mcq_service

# --- the local cluster ---

up: .venv/.ready ## start a local Kubernetes with kind [NODES=1] [KUBERNETES=1.34] [IP_FAMILY=ipv4]; CLUSTER=current only checks that the cluster answers
	@$(CLUSTER_TOOL) up

down: .venv/.ready ## remove it; the cache stays
	@$(CLUSTER_TOOL) down

kubeconfig: .venv/.ready ## print the path of the local cluster's kubeconfig
	@$(CLUSTER_TOOL) kubeconfig

images: .venv/.ready ## build the images; image-operator, image-service and image-service-torch build one [PLATFORMS=]
	@$(PYTHON) -m hack.images

image-operator image-service image-service-torch: .venv/.ready
	@$(PYTHON) -m hack.images $(@:image-%=%)

monitoring: .venv/.ready ## after demo or deploy: install Prometheus, Alertmanager, Jaeger and Grafana for the operator and its solvers [GRAFANA_HOST=]
	@$(PYTHON) -m hack.monitoring

compose: .venv/.ready ## run compose.yaml; images that can't be pulled are built here
	@$(PYTHON) -m hack.compose up

compose-down: .venv/.ready ## stop compose.yaml, and the Docker engine if `make compose` started it; the volumes stay
	@$(PYTHON) -m hack.compose down

deploy: .venv/.ready ## create cluster and images, and install the operator without a solver
	@$(PYTHON) -m hack.deploy

model: .venv/.ready ## fetch and verify the model's weights, and convert them into the cache
	@hack/model

# --- delivery: the Jenkinsfile's stages; CLUSTER=current means kubectl's current context ---

parameters: .venv/.ready ## check the settings of the delivery, before anything is built
	@$(PYTHON) -m delivery parameters

sbom: .venv/.ready ## list the images' packages, as CycloneDX: dist/*.cdx.json
	@$(PYTHON) -m hack.images.sbom

scan: .venv/.ready ## scan those packages for known vulnerabilities: [OSV_DATABASE=URL|FOLDER] [SCAN_REQUIRED=1] [SCAN_IGNORE=ID,ID]
	@$(PYTHON) -m delivery scan

push: .venv/.ready ## push the images and record their digests in dist/images.json: REGISTRY=HOST/PATH [TAG=]
	@$(PYTHON) -m delivery push

sign: .venv/.ready ## sign the pushed images, and attest their SBOMs and provenance: COSIGN_KEY=FILE [COSIGN_PASSWORD=]
	@$(PYTHON) -m delivery sign

install: .venv/.ready ## install the CRDs, the pushed operator by digest, and a solver: [ENVIRONMENT=dev|production] [SOLVER=FILE]
	@$(PYTHON) -m delivery install

verify: .venv/.ready ## check that the installed solver runs, answers and is monitored: [MONITORING=1] [INGRESS_URL=]
	@$(PYTHON) -m delivery verify

rollback: .venv/.ready ## undo the last install
	@$(PYTHON) -m delivery rollback

diagnostics: .venv/.ready ## collect the deployment's logs, events and objects: build/diagnostics
	@$(PYTHON) -m delivery diagnostics

installer: .venv/.ready ## write all manifests as one file, with the pushed images by digest: dist/install.yaml
	@$(PYTHON) -m delivery installer

chart: .venv/.ready ## write the Helm chart with the pushed images: dist/chart
	@$(PYTHON) -m delivery chart

release: .venv/.ready ## build, push, sign and tag a release: VERSION=x.y.z REGISTRY=HOST/PATH COSIGN_KEY=FILE; files in dist/x.y.z
	@$(PYTHON) -m delivery.release

pipeline: .venv/.ready ## run the whole Jenkinsfile without Jenkins, into the local cluster
	@$(PYTHON) -m delivery.pipeline

# --- development ---

check: .venv/.ready ## check lint, format, types, layers and generated files
	@$(STEP) "Lint (ruff)" .venv/bin/ruff check .
	@$(STEP) "Format (ruff)" .venv/bin/ruff format --check .
	@$(STEP) "Types (mypy --strict)" .venv/bin/mypy
	@$(STEP) "Layers (import-linter)" .venv/bin/lint-imports
	@$(STEP) "Jenkinsfile (npm-groovy-lint)" hack/lint-groovy
	@$(STEP) "Generated files (CRDs, RBAC, dashboards, docs)" hack/generate --check

test-service: .venv/.ready ## test the service and its exams: their parts, and the real model behind a real server
	@$(STEP) "Weights" hack/model >/dev/null
	@$(STEP) "Service tests" $(PYTEST) $(COVERAGE) -n $(WORKERS) --dist loadfile tests/service tests/eval

test-page: .venv/.ready ## test the web page in a real browser
	@$(STEP) "Weights" hack/model >/dev/null
	@$(STEP) "Page tests" $(PYTEST) tests/page

test-operator: .venv/.ready ## test the operator: its pure parts, and reconciles against a real API server
	@$(STEP) "Operator tests" $(PYTEST) $(COVERAGE) -n $(WORKERS) --dist loadgroup tests/operator tests/chaos \
		$(if $(SLOW),--ignore tests/operator/adversary)

test-adversary: .venv/.ready ## test what a tenant with rights to solvers and exams only can do, as a table; test-operator has a short form
	@$(STEP) "Tenants" .venv/bin/pytest -q $(if $(JUNIT),--junitxml="$(JUNIT)/$@.xml") tests/operator/adversary

test-monitoring: .venv/.ready ## test the alerts with the real promtool; with SLOW=1 also compose.yaml with Docker Compose
	@$(STEP) "Monitoring tests" $(PYTEST) tests/monitoring

test-pipeline: .venv/.ready ## test the delivery's stages, the Jenkinsfile's interpreter, and the local cluster's tool
	@$(STEP) "Pipeline tests" $(PYTEST) -n 2 tests/delivery

test-cluster: .venv/.ready ## test on a cluster: install, answer through the Ingress, repair, delete; with SLOW=1 also exams, storage, pipeline, monitoring
	@$(STEP) "Cluster tests" hack/with-cluster $(PYTEST) tests/e2e \
		$(foreach part,autoscaling nodes rollouts teardown,--ignore tests/e2e/$(part))

test-rollouts: .venv/.ready ## test roll-outs under load: no request is lost
	@$(STEP) "Roll-out tests" hack/with-cluster $(PYTEST) tests/e2e/rollouts

test-ipv6: .venv/.ready ## test on a cluster of IPv6 alone
	@IP_FAMILY=ipv6 $(STEP) "IPv6 tests" hack/with-cluster $(PYTEST) tests/e2e/test_end_to_end.py

test-dual-stack: .venv/.ready ## test on a cluster of IPv4 and IPv6
	@IP_FAMILY=dual $(STEP) "Dual-stack tests" hack/with-cluster $(PYTEST) tests/e2e/test_end_to_end.py \
		tests/e2e/test_network_policy.py

test-nodes: .venv/.ready ## test on three nodes: drains, taints, a stopped node, volumes of one node
	@NODES=3 $(STEP) "Node tests" hack/with-cluster $(PYTEST) tests/e2e/nodes

test-autoscaling: .venv/.ready ## test that KEDA and prometheus-adapter add and remove replicas
	@$(STEP) "Autoscaling tests" hack/with-cluster $(PYTEST) tests/e2e/autoscaling

test-teardown: .venv/.ready ## test that `make down` leaves nothing on the machine; only if no cluster is up
	@$(STEP) "Teardown tests" $(PYTEST) tests/e2e/teardown

chaos: .venv/.ready ## run the fault campaign: each fault at each point of a solver's life, about an hour (CHAOS="--fault kill-seen")
	@$(PYTHON) -m tests.chaos $(CHAOS)

format: .venv/.ready ## format the code and fix what ruff can fix
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

generate: .venv/.ready ## write the CRDs, rights, policies, dashboards and reference pages from the code
	@hack/generate

pictures: .venv/.ready ## draw the dashboards' pictures in docs/images, from a quarter of an hour of the real programs
	@$(PYTHON) -m hack.pictures.example

lock: ## lock the dependencies of the pyproject.toml files in requirements.lock
	@hack/lock

bench: .venv/.ready ## measure the service's seconds per question: EXAM=FILE.jsonl [RUNS=3] [INSTRUCTION_SETS="amx avx2"] [PEERS=DIR GGUF=FILE]
	@test -n "$(EXAM)" || { echo "make bench EXAM=FILE.jsonl: the questions to ask; see docs/benchmarks.md" >&2; exit 2; }
	@$(PYTHON) -m benchmarks.service --exam "$(EXAM)" --runs $(or $(RUNS),1) $(if $(INSTRUCTION_SETS),--instruction-sets $(INSTRUCTION_SETS)) $(if $(PEERS),--peers "$(PEERS)" --gguf "$(GGUF)")

bench-operator: .venv/.ready ## measure the operator with many solvers, on its own control plane: [SOLVERS=1000] [RUNS=1]
	@$(PYTHON) -m benchmarks.operator --solvers $(or $(SOLVERS),1000) --runs $(or $(RUNS),1)

clean: ## remove generated files from the checkout (the cache, $MCQ_CACHE, stays)
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements.lock service/requirements-build.lock hack/requirements-uv.lock \
		operator/pyproject.toml service/pyproject.toml service/hatch_build.py $(wildcard service/native/* service/native/*/*)
	@$(STEP) "Python environment (.venv)" hack/venv
