package routing

// disableSourceDestinationCheck does nothing: it is for nodes on AWS, and its client takes minutes to compile.
func (nrc *NetworkRoutingController) disableSourceDestinationCheck() {}
