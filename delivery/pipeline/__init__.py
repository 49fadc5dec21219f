"""Runs the Jenkinsfile without Jenkins: jenkins/ interprets the syntax that it uses, `job` describes a job."""
