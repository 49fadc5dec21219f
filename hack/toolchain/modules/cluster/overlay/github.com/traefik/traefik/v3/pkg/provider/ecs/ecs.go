// Package ecs has no provider for Amazon's ECS: its client takes two minutes to compile.
package ecs

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider stands for the provider in Traefik's configuration.
type Provider struct{}

// Init returns an error.
func (*Provider) Init() error { return errors.New("the local cluster's Traefik has no provider for ECS") }

// Provide returns an error, too.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return p.Init() }
